"""List the TensorRT engines that this machine keeps, or delete what it cannot use.

An engine is of no use once it is damaged, failed its self-test, or was built from another graph,
by another TensorRT or for another GPU than what is here now.
"""

from __future__ import annotations

import argparse
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile, why_useless
from stereo_depth_ros.engines.tensorrt.key import machine_key
from stereo_depth_ros.engines.tensorrt.versions import MODULES, find_runtime

HELP = "list or prune the TensorRT engines of this machine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``engines``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser("prune", help="delete what is of no use")
    prune.add_argument("--all", action="store_true", help="delete all that is kept")


def run(arguments: argparse.Namespace) -> int:
    """List, or prune and say what went."""
    cache, machines = EngineCache(), _machines()
    if arguments.action == "prune":
        # A build that runs now is let finish; its files are not in the way then.
        with cache.lock(threading.Event()):
            _prune(cache, machines, arguments.all)
        return 0
    found = cache.engines()
    for path, file in found:
        print(f"{path.name}  {_words(file)}\n    {_why(file, machines) or _state(file)}")
    print(f"{len(found)} engines in {cache.directory}")
    return 0


def _prune(cache: EngineCache, machines: Mapping[str, Any], everything: bool) -> None:
    found = cache.engines()
    doomed = [path for path, file in found if everything or _why(file, machines)]
    size = sum(path.stat().st_size for path in doomed if path.exists())
    for path in doomed:
        cache.remove(path)
        print(path.name)
    if everything:
        cache.clear()
    cache.sweep()
    print(f"{len(doomed)} of {len(found)} engines deleted, {size / 1e6:.1f} MB")


def _machines() -> dict[str, Mapping[str, Any]]:
    """Return the `machine_key` here for each TensorRT that is installed, by its module."""
    found: dict[str, Mapping[str, Any]] = {}
    try:
        device = find_device()
        for module in MODULES:
            with suppress(EngineError):
                found[module] = machine_key(find_runtime(module), device)
        if not found:
            find_runtime()
    except EngineError as error:
        print(f"engines of other machines are not told apart: {error}")
    return found


def _why(file: EngineFile | EngineDamaged, machines: Mapping[str, Mapping[str, Any]]) -> str:
    any_of_them = next(iter(machines.values()), {})
    if isinstance(file, EngineDamaged):
        return why_useless(file, any_of_them)
    return why_useless(file, machines.get(file.runtime, any_of_them))


def _words(file: EngineFile | EngineDamaged) -> str:
    if isinstance(file, EngineDamaged):
        return ""
    sidecar = file.sidecar
    return (
        f"{sidecar['plan']['bytes'] / 1e6:.1f} MB, built {sidecar['build']['time']} in "
        f"{sidecar['build']['seconds']:.0f} s"
    )


def _state(file: EngineFile | EngineDamaged) -> str:
    tested = file.self_test if isinstance(file, EngineFile) else None
    return f"ready: {tested}" if tested else "not tested yet"
