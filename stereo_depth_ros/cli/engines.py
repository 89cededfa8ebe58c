"""List the cached TensorRT engines of this machine, or delete those that it cannot use.

It cannot use an engine that is damaged, failed its self-test, or was built from another graph, by
another TensorRT or for another GPU than those that are here now.
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``engines``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    prune = actions.add_parser("prune", help="delete the unusable ones")
    prune.add_argument("--all", action="store_true", help="delete all of them")


def run(arguments: argparse.Namespace) -> int:
    """List the engines, or prune them and list the deleted ones."""
    cache, machines = EngineCache(), _read_machine_keys()
    if arguments.action == "prune":
        # After a build that runs now, whose files would look abandoned.
        with cache.lock(threading.Event()):
            _prune(cache, machines, arguments.all)
        return 0
    engines = cache.engines()
    for path, file in engines:
        state = _describe_fault(file, machines) or _describe_state(file)
        print(f"{path.name}  {_describe_build(file)}\n    {state}")
    print(f"{len(engines)} engines in {cache.directory}")
    return 0


def _prune(cache: EngineCache, machines: Mapping[str, Any], everything: bool) -> None:
    engines = cache.engines()
    unusable = [path for path, file in engines if everything or _describe_fault(file, machines)]
    size = sum(path.stat().st_size for path in unusable if path.exists())
    for path in unusable:
        cache.remove(path)
        print(path.name)
    if everything:
        cache.clear()
    cache.sweep()
    print(f"{len(unusable)} of {len(engines)} engines deleted, {size / 1e6:.1f} MB")


def _read_machine_keys() -> dict[str, Mapping[str, Any]]:
    """Return the `machine_key` here for each TensorRT that is installed, by its module."""
    keys: dict[str, Mapping[str, Any]] = {}
    try:
        device = find_device()
        for module in MODULES:
            with suppress(EngineError):
                keys[module] = machine_key(find_runtime(module), device)
        if not keys:
            find_runtime()
    except EngineError as error:
        print(f"cannot tell which engines are of other machines: {error}")
    return keys


def _describe_fault(
    file: EngineFile | EngineDamaged, machines: Mapping[str, Mapping[str, Any]]
) -> str:
    """Return why this machine cannot use ``file``, "" where it can."""
    any_key = next(iter(machines.values()), {})
    if isinstance(file, EngineDamaged):
        return why_useless(file, any_key)
    return why_useless(file, machines.get(file.runtime, any_key))


def _describe_build(file: EngineFile | EngineDamaged) -> str:
    if isinstance(file, EngineDamaged):
        return ""
    sidecar = file.sidecar
    return (
        f"{sidecar['plan']['bytes'] / 1e6:.1f} MB, built {sidecar['build']['time']} in "
        f"{sidecar['build']['seconds']:.0f} s"
    )


def _describe_state(file: EngineFile | EngineDamaged) -> str:
    tested = file.self_test if isinstance(file, EngineFile) else None
    return f"ready: {tested}" if tested else "not tested yet"
