"""Engines on disk: what one depends on, where it lies, and whether it can be trusted.

An engine is a plan, NAME.engine, and a sidecar, NAME.json, written in this order and each at once;
so what has a sidecar is whole, unless something damaged it later, which its hash tells. NAME ends
in a hash of everything that the plan depends on.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.builder import REVISION
from stereo_depth_ros.engines.tensorrt.device import Device, board
from stereo_depth_ros.engines.tensorrt.graph import Graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest
from stereo_depth_ros.engines.tensorrt.versions import MODULES, Runtime
from stereo_depth_ros.file_hash import sha256_of

_PLAN, _SIDECAR, _PART, _TIMINGS, _REFERENCE = ".engine", ".json", ".part", ".timings", ".npz"
_POLL_S = 0.2


class EngineDamaged(EngineError):
    """An engine file that is not what was written."""


@dataclass(frozen=True)
class EngineFile:
    """A serialised engine (a plan) at ``path``, and the sidecar that says what it is.

    ``sidecar`` holds ``key`` (all that the plan depends on), ``graph`` (``file``, ``metadata``,
    ``height`` and ``width`` of what it was built from), ``plan`` (``sha256``, ``bytes``), ``build``
    (``seconds``, ``layers``, ``time``, ``why``) and ``self_test`` (its numbers and verdict, None
    before it was run). ``notes`` say why it is not what was asked for, where it is not.
    """

    path: Path
    sidecar: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def runtime(self) -> str:
        """Module that runs it: "tensorrt" or "tensorrt_rtx"."""
        return self.sidecar["key"]["runtime"]["module"]

    @property
    def precision(self) -> str:
        """What it computes in: "fp32" or "mixed"."""
        return self.sidecar["key"]["precision"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images it takes."""
        return self.sidecar["graph"]["height"], self.sidecar["graph"]["width"]

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of its graph: ``network``, ``max_disparity``, ``licence``..."""
        return self.sidecar["graph"]["metadata"]

    @property
    def self_test(self) -> SelfTest | None:
        """The result of its self-test; None before that was run, by the gates of today."""
        return SelfTest.from_dict(self.sidecar["self_test"])

    @property
    def proven(self) -> bool | None:
        """Whether it passed its self-test; None before that was run."""
        return None if self.self_test is None else self.self_test.passed


def engine_key(
    graph: Graph, precision: str, options: BuildOptions, runtime: Runtime, device: Device
) -> dict[str, Any]:
    """Return all that a plan depends on; engines of equal keys are interchangeable."""
    return {
        "graph": graph.sha256,
        "precision": precision,
        "options": {"workspace_mb": options.workspace_mb, "level": options.level},
        **machine_key(runtime, device),
    }


def machine_key(runtime: Runtime, device: Device) -> dict[str, Any]:
    """Return the part of every key that is the same for all engines of this machine."""
    return {
        "runtime": {"module": runtime.name, "version": runtime.version},
        "device": {
            "name": device.name,
            "compute_capability": device.compute_capability,
            "multiprocessors": device.multiprocessors,
            # Drivers keep some for themselves, and not always as much.
            "memory_gb": round(device.memory_mb / 1024),
        },
        "board": board(),
        "builder": REVISION,
    }


def differences(key: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """Return in words what of ``key`` is not as ``wanted``."""
    return [
        _CHANGES[part](key.get(part), wanted[part])
        for part in wanted
        if key.get(part) != wanted[part]
    ]


def why_useless(file: EngineFile | EngineDamaged, machine: Mapping[str, Any]) -> str:
    """Return why nothing will use an engine any more, "" where something may.

    ``machine`` is the `machine_key` here, as far as it is known.
    """
    if isinstance(file, EngineDamaged):
        return f"damaged: {file}"
    if file.proven is False:
        return f"failed its self-test: {file.self_test}"
    changes = differences(file.sidecar["key"], machine)
    graph = Path(file.sidecar["graph"]["file"])
    if graph.is_file() and sha256_of(graph) != file.sidecar["key"]["graph"]:
        changes.append(f"{graph} has changed since")
    return "; ".join(changes)


def _runtime_words(runtime: Mapping[str, str]) -> str:
    return f"{MODULES[runtime['module']]} {runtime['version']}"


_CHANGES: dict[str, Callable[[Any, Any], str]] = {
    "graph": lambda old, new: "the graph has changed since",
    "precision": lambda old, new: f"it is in {old}, not {new}",
    "runtime": lambda old, new: f"it is of {_runtime_words(old)}, not {_runtime_words(new)}",
    "device": lambda old, new: (
        f"it is for {old['name']}, not {new['name']}"
        if old["name"] != new["name"]
        else f"it is for another {old['name']}"
    ),
    "board": lambda old, new: f"it is of {old}, not {new}",
    "options": lambda old, new: "it was built with other options",
    "builder": lambda old, new: "an older release of this package built it",
}


def cache_directory() -> Path:
    """Return where engines are kept, made if need be: $XDG_CACHE_HOME, or ~/.cache, and below.

    Raises
    ------
    EngineError
        When nothing can be kept there.
    """
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        directory = Path(base) / "stereo_depth_ros" / "engines"
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError) as error:
        raise EngineError(f"no place for engines: {error}; set XDG_CACHE_HOME") from error
    if not os.access(directory, os.W_OK):
        raise EngineError(f"{directory} is not writable; set XDG_CACHE_HOME to one that is")
    return directory


def read_engine(path: Path) -> EngineFile:
    """Return the engine at ``path`` after checking that it is what was written.

    Raises
    ------
    EngineDamaged
        When plan or sidecar is missing, cut short or altered.
    """
    sidecar = _read_sidecar(path)
    file = EngineFile(path, sidecar)
    if file.proven is False and not path.exists():
        return file  # refused, its numbers kept so that it is not built again
    try:
        size, found = path.stat().st_size, sha256_of(path)
    except OSError as error:
        raise EngineDamaged(f"{path} cannot be read: {error.strerror}") from error
    if size != sidecar["plan"]["bytes"]:
        raise EngineDamaged(f"{path} has {size} bytes, not {sidecar['plan']['bytes']}")
    if found != sidecar["plan"]["sha256"]:
        raise EngineDamaged(f"{path} is altered: its hash is not that of its sidecar")
    return file


def _read_sidecar(path: Path) -> dict[str, Any]:
    sidecar = path.with_suffix(_SIDECAR)
    try:
        content = json.loads(sidecar.read_text())
        file = EngineFile(path, content)
        file.runtime, file.precision, file.size, file.metadata, file.proven  # noqa: B018
        content["plan"]["sha256"], content["plan"]["bytes"], content["build"]["time"]
        return content
    except OSError as error:
        raise EngineDamaged(f"{sidecar} cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineDamaged(f"{sidecar} is no sidecar of an engine") from error


def copy_engine(file: EngineFile, path: Path) -> EngineFile:
    """Copy plan and sidecar of ``file`` to ``path`` and the .json beside it; return the copy."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, file.path.read_bytes())
    _write_sidecar(path, file.sidecar)
    return EngineFile(path, file.sidecar, file.notes)


class EngineCache:
    """The engines of one ``directory``, shared by all processes of the machine."""

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory or cache_directory()

    def path(self, key: Mapping[str, Any], graph: Graph) -> Path:
        """Return where the plan of ``key`` lies, or would."""
        short = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:12]
        return self.directory / f"{_stem(graph, key['precision'])}_{short}{_PLAN}"

    def part(self, path: Path) -> Path:
        """Return where to write what is to become ``path``; leftovers of it go with `clear`."""
        return path.with_name(f"{path.name}.{os.getpid()}{_PART}")

    def timings(self, runtime: Runtime, device: Device) -> Path:
        """Return the file of measured kernels for this TensorRT and GPU."""
        name = f"{runtime.name}_{runtime.version}_{device.name}_{device.compute_capability}"
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
        if not path.with_suffix(_SIDECAR).exists():
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
            },
            "plan": {"sha256": sha256_of(part), "bytes": part.stat().st_size},
            "build": {**build, "time": time.strftime("%Y-%m-%d %H:%M:%S")},
            "self_test": None,
        }
        with part.open("rb") as file:
            os.fsync(file.fileno())
        path.with_suffix(_SIDECAR).unlink(missing_ok=True)
        os.replace(part, path)
        _write_sidecar(path, sidecar)
        return EngineFile(path, sidecar)

    def record(self, file: EngineFile, result: SelfTest) -> EngineFile:
        """Keep the result of the self-test; a plan that failed is deleted, its numbers stay."""
        sidecar = {**file.sidecar, "self_test": result.as_dict()}
        _write_sidecar(file.path, sidecar)
        if not result.passed:
            file.path.unlink()
        return EngineFile(file.path, sidecar)

    def discard(self, file: EngineFile, cancelled: threading.Event) -> None:
        """Delete ``file``, unless another process has put a new engine in its place meanwhile.

        Raises
        ------
        BuildCancelled
            When ``cancelled`` was set while another process built.
        """
        with self.locked(cancelled):
            try:
                replaced = read_engine(file.path).sidecar != file.sidecar
            except EngineDamaged:
                replaced = False
            if not replaced:
                self.remove(file.path)

    def remove(self, path: Path) -> None:
        """Delete the engine whose plan is at ``path``."""
        path.with_suffix(_SIDECAR).unlink(missing_ok=True)
        path.unlink(missing_ok=True)

    @contextmanager
    def locked(
        self, cancelled: threading.Event, waiting: Callable[[], None] = lambda: None
    ) -> Iterator[None]:
        """Hold the one lock of this cache; ``waiting`` is called while another process holds it.

        There is one lock, not one per engine, because two builds at once would take each other's
        memory and spoil each other's timings. It goes with the process that holds it.

        Raises
        ------
        BuildCancelled
            When ``cancelled`` was set while waiting.
        """
        with (self.directory / "lock").open("w") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    waiting()
                    if cancelled.wait(_POLL_S):
                        raise BuildCancelled("cancelled") from None
            # Nobody else writes now, so what is unfinished was abandoned.
            for leftover in self.directory.glob(f"*{_PART}"):
                leftover.unlink(missing_ok=True)
            yield

    def engines(self) -> list[tuple[Path, EngineFile | EngineDamaged]]:
        """Return every engine by the path of its plan; reads and checks them all."""
        stems = {
            path.with_suffix("")
            for kind in (_PLAN, _SIDECAR)
            for path in self.directory.glob(f"*{kind}")
        }
        found: list[tuple[Path, EngineFile | EngineDamaged]] = []
        for stem in sorted(stems):
            path = stem.with_name(stem.name + _PLAN)
            try:
                found.append((path, read_engine(path)))
            except EngineDamaged as error:
                found.append((path, error))
        return found

    def clear(self) -> None:
        """Delete everything that was kept, timings and references too."""
        for kind in (_SIDECAR, _PLAN, _TIMINGS, _REFERENCE, _PART):
            for path in self.directory.glob(f"*{kind}"):
                path.unlink(missing_ok=True)

    def _sidecars(self) -> Iterator[tuple[Path, dict[str, Any]]]:
        for sidecar in self.directory.glob(f"*{_SIDECAR}"):
            path = sidecar.with_suffix(_PLAN)
            try:
                yield path, _read_sidecar(path)
            except EngineDamaged:
                continue


def _stem(graph: Graph, precision: str) -> str:
    network, variant = graph.metadata["network"], graph.metadata.get("variant", "")
    return _plain(f"{network}_{variant}_{graph.height}x{graph.width}_{precision}")


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9.-]+", "_", name)


def _write_sidecar(path: Path, content: Mapping[str, Any]) -> None:
    _write(path.with_suffix(_SIDECAR), json.dumps(content, indent=1).encode())


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART}")
    with part.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
