"""The engines of a machine: which of them serves a graph, and where the next one goes.

A folder holds a plan and its sidecar for each (see `engine_file`), whose name ends in a hash of
everything that the plan depends on; beside them measured kernels, compiled kernels and references.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.device import Device, driver_version, power_mode
from stereo_depth_ros.engines.tensorrt.engine_file import (
    PLAN,
    SIDECAR,
    EngineDamaged,
    EngineFile,
    read_engine,
    read_sidecar,
    write_sidecar,
)
from stereo_depth_ros.engines.tensorrt.graph import Graph
from stereo_depth_ros.engines.tensorrt.kernels import SUFFIX as KERNELS
from stereo_depth_ros.engines.tensorrt.key import differences
from stereo_depth_ros.engines.tensorrt.parts import PART, machine, part_of, parts_of_this_machine
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest
from stereo_depth_ros.engines.tensorrt.versions import Runtime
from stereo_depth_ros.file_hash import sha256_of

_TIMINGS, _REFERENCE, _LOCK = ".timings", ".npz", "lock-"
_POLL_S = 0.2
STATIC = "static"
"""The folder, within that of the engines, of what graphs for any size became."""
# Far more than any build may take.
_ABANDONED_S = 24 * 3600


def cache_directory() -> Path:
    """Return where engines are kept, made if need be: $XDG_CACHE_HOME, or ~/.cache, and below.

    It may be a folder that can only be read: what it holds serves all the same.

    Raises
    ------
    EngineError
        When there is no such folder and none can be made.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(base) / "stereo_depth_ros" / "engines"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise EngineError(f"no place for engines: {error}; set XDG_CACHE_HOME") from error
    return directory


class EngineCache:
    """The engines of one ``directory``, shared by all processes of the machine."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory()

    def path(self, key: Mapping[str, Any], graph: Graph) -> Path:
        """Return where the plan of ``key`` lies, or would."""
        short = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
        return self.directory / f"{_stem(graph, key['precision'])}_{short}{PLAN}"

    def part(self, path: Path) -> Path:
        """Return where to write what is to become ``path``; leftovers of it go with `clear`."""
        return part_of(path)

    def timings(self, runtime: Runtime, device: Device) -> Path:
        """Return the file of measured kernels for this TensorRT and GPU as fast as it is now."""
        name = f"{runtime.name}_{runtime.version}_{device.name}_{device.compute_capability}"
        if mode := power_mode():
            name += f"_{mode}"
        return self.directory / f"{_plain(name)}{_TIMINGS}"

    def reference(self, graph: Graph) -> Path:
        """Return the file of the reference answers of ``graph``."""
        return self.directory / f"{_stem(graph, graph.precision)}_{graph.sha256[:12]}{_REFERENCE}"

    def find(self, key: Mapping[str, Any], graph: Graph) -> EngineFile | None:
        """Return the engine of ``key``, checked, None where there is none.

        Raises
        ------
        EngineDamaged
            When there is one that cannot be trusted.
        """
        path = self.path(key, graph)
        if not path.with_suffix(SIDECAR).exists():
            return None
        return read_engine(path)

    def why_missing(self, key: Mapping[str, Any], graph: Graph) -> str:
        """Return why there is no engine of ``key``: there was none yet, or how the last differs."""
        others = [
            (sidecar["build"]["time"], path.name, differences(sidecar["key"], key))
            for path, sidecar in self._sidecars()
            if path.name.startswith(_stem(graph, key["precision"]) + "_")
        ]
        if not others:
            return "no engine yet"
        _, name, changes = max(others)
        return f"{name} is stale: {'; '.join(changes)}"

    def add(
        self, part: Path, key: Mapping[str, Any], graph: Graph, build: Mapping[str, Any]
    ) -> EngineFile:
        """Turn the plan in the file ``part`` into the engine of ``key``, unproven yet."""
        path = self.path(key, graph)
        sidecar = {
            "key": key,
            "graph": {
                "file": str(graph.path.resolve()),
                "metadata": graph.metadata,
                "height": graph.height,
                "width": graph.width,
                "takes_prior": graph.takes_prior,
            },
            "plan": {"sha256": sha256_of(part), "bytes": part.stat().st_size},
            "build": {**build, "time": time.strftime("%Y-%m-%d %H:%M:%S")},
            "self_test": None,
        }
        with part.open("rb") as file:
            os.fsync(file.fileno())
        path.with_suffix(SIDECAR).unlink(missing_ok=True)
        os.replace(part, path)
        write_sidecar(path, sidecar)
        return EngineFile(path, sidecar)

    def record(self, file: EngineFile, result: SelfTest) -> EngineFile:
        """Keep the result of the self-test; a plan that failed is deleted, its numbers stay."""
        sidecar = {**file.sidecar, "self_test": result.as_dict()}
        write_sidecar(file.path, sidecar)
        if not result.passed:
            file.path.unlink()
        return EngineFile(file.path, sidecar)

    def record_loss(self, file: EngineFile) -> EngineFile:
        """Count that the self-test lost the GPU, for the processes to come."""
        sidecar = {**file.sidecar, "losses": file.losses + 1}
        write_sidecar(file.path, sidecar)
        return EngineFile(file.path, sidecar)

    def refuse(self, file: EngineFile, text: str) -> EngineFile:
        """Keep in ``text`` why this driver cannot use what was built; the plan is deleted."""
        refusal = {"text": text, "driver": driver_version()}
        sidecar = {**file.sidecar, "refusal": refusal}
        write_sidecar(file.path, sidecar)
        file.path.unlink(missing_ok=True)
        return EngineFile(file.path, sidecar)

    def discard(self, file: EngineFile, cancelled: threading.Event) -> None:
        """Delete ``file``, unless another process has put a new engine in its place meanwhile.

        Raises
        ------
        BuildCancelled
            When ``cancelled`` was set while another process built.
        """
        with self.lock(cancelled):
            try:
                replaced = read_engine(file.path).sidecar != file.sidecar
            except EngineDamaged:
                replaced = False
            if not replaced:
                self.remove(file.path)

    def remove(self, path: Path) -> None:
        """Delete the engine whose plan is at ``path``."""
        path.with_suffix(SIDECAR).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        for kernels in path.parent.glob(f"{path.stem}.*{KERNELS}"):
            kernels.unlink(missing_ok=True)

    @contextmanager
    def lock(
        self, cancelled: threading.Event, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold the lock of this machine; ``waiting`` is called while another process holds it.

        There is one lock, not one per engine, because two builds at once would take each other's
        memory and spoil each other's timings. Other machines that share the folder have their own.
        It goes with the process that holds it.

        Raises
        ------
        BuildCancelled
            When ``cancelled`` was set while waiting.
        EngineError
            When nothing can be written here.
        """
        try:
            file = (self.directory / f"{_LOCK}{machine()}").open("w")
        except OSError as error:
            raise EngineError(
                f"{self.directory} cannot be written to ({error.strerror}), as is needed to build "
                "or delete an engine; set XDG_CACHE_HOME to a folder that can"
            ) from error
        with file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    waiting()
                    if cancelled.wait(_POLL_S):
                        raise BuildCancelled("cancelled") from None
            # No other process of this machine writes now, so what is unfinished was abandoned.
            for leftover in parts_of_this_machine(self.directory):
                leftover.unlink(missing_ok=True)
            yield

    def engines(self) -> list[tuple[Path, EngineFile | EngineDamaged]]:
        """Return every engine by the path of its plan; reads and checks them all."""
        stems = {
            path.with_suffix("")
            for kind in (PLAN, SIDECAR)
            for path in self.directory.glob(f"*{kind}")
        }
        engines: list[tuple[Path, EngineFile | EngineDamaged]] = []
        for stem in sorted(stems):
            path = stem.with_name(stem.name + PLAN)
            try:
                engines.append((path, read_engine(path)))
            except EngineDamaged as error:
                engines.append((path, error))
        return engines

    def sweep(self) -> None:
        """Delete what was left unfinished, and locks that nobody has taken, for a day.

        A machine knows its own by its boot, so after a power cut nobody does.
        """
        abandoned = time.time() - _ABANDONED_S
        for kind in (f"*{PART}", f"{_LOCK}*"):
            for path in self.directory.glob(kind):
                with suppress(OSError):
                    if path.stat().st_mtime < abandoned:
                        path.unlink()

    def clear(self) -> None:
        """Delete everything that was kept, timings and references too."""
        for kind in (SIDECAR, PLAN, _TIMINGS, _REFERENCE, KERNELS, PART):
            for path in self.directory.glob(f"*{kind}"):
                path.unlink(missing_ok=True)
        shutil.rmtree(self.directory / STATIC, ignore_errors=True)

    def _sidecars(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for sidecar in self.directory.glob(f"*{SIDECAR}"):
            path = sidecar.with_suffix(PLAN)
            try:
                yield path, read_sidecar(path)
            except EngineDamaged:
                continue


def _stem(graph: Graph, precision: str) -> str:
    network, variant = graph.metadata["network"], graph.metadata.get("variant", "")
    return _plain(f"{network}_{variant}_{graph.height}x{graph.width}_{precision}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)
