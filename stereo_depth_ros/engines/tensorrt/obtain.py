"""A proven engine for a graph: the one that is there, else one that is built and tried now."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import Engine, EngineError, Run, run_here
from stereo_depth_ros.engines.tensorrt import build_process
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.cache import (
    EngineCache,
    EngineDamaged,
    EngineFile,
    engine_key,
)
from stereo_depth_ros.engines.tensorrt.device import Device, find_device
from stereo_depth_ros.engines.tensorrt.graph import MIXED_SUFFIX, Graph, counterpart, read_graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import BuildProgress, Report, unreported
from stereo_depth_ros.engines.tensorrt.self_test import (
    Reference,
    load_reference,
    reference_beside,
    run_self_test,
)
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest
from stereo_depth_ros.engines.tensorrt.versions import Runtime, find_runtime

_LOG = logging.getLogger(__name__)
_BUILD = "stereo_depth_ros.engines.tensorrt.builder:build_file"
_REFERENCE = "stereo_depth_ros.engines.tensorrt.self_test:write_reference"


@dataclass(frozen=True)
class Host:
    """Where engines are built and run: the TensorRT, the GPU, the cache.

    ``open_file`` opens an engine, within ``run``; ``target`` is what the child process calls to
    build one, see `build_process.run_in_child`.
    """

    runtime: Runtime
    device: Device
    cache: EngineCache
    open_file: Callable[[EngineFile], Engine]
    target: str = _BUILD
    run: Run = run_here


def this_host(cuda_backend: str = "auto", runtime_name: str | None = None) -> Host:
    """Return what this machine has; ``runtime_name`` insists on "tensorrt" or "tensorrt_rtx".

    Raises
    ------
    EngineError
        When it has no GPU or no TensorRT, or nowhere to keep engines.
    """
    # First the driver: without one TensorRT does not always fail, it may crash.
    device = find_device()
    runtime = find_runtime(runtime_name)

    def open_file(file: EngineFile) -> Engine:
        from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine

        return TensorRTEngine(file, cuda_backend)

    return Host(runtime, device, EngineCache(), open_file)


def obtain_engine(
    graph: Path,
    options: BuildOptions,
    *,
    report: Report = unreported,
    cancelled: threading.Event | None = None,
    host: Host | None = None,
) -> EngineFile:
    """Return an engine of ``graph`` that passed its self-test: kept, or built now.

    The build and the float32 reference run in child processes, the self-test within ``host.run``.
    Where ``options.precision`` is "auto" and mixed fails, fp32 is tried, and ``notes`` of the
    result say why. What failed its self-test is remembered and not built again.

    Raises
    ------
    BuildCancelled
        When ``cancelled`` was set.
    EngineError
        When no engine can be had; the text says why, one precision after the other.
    """
    host = host or this_host()
    task = _Task(host, options, report, cancelled or threading.Event())
    refusals: list[str] = []
    for candidate in _candidates(read_graph(graph), options.precision, host.runtime):
        try:
            file = task.engine(candidate)
        except BuildCancelled:
            raise
        except EngineError as error:
            refusals.append(f"{candidate.precision}: {error}")
            continue
        if file.proven:
            return replace(file, notes=tuple(refusals))
        assert file.self_test is not None
        refusals.append(
            f"{candidate.precision}: fails its self-test: {'; '.join(file.self_test.failures)}"
        )
    raise EngineError(f"{graph}: no TensorRT engine can be used: {'. '.join(refusals)}")


def open_obtained(
    graph: Path,
    options: BuildOptions,
    *,
    report: Report = unreported,
    cancelled: threading.Event | None = None,
    host: Host | None = None,
) -> tuple[Engine, EngineFile]:
    """Obtain an engine and open it; one that was kept but is of no use any more is rebuilt once.

    Raises
    ------
    BuildCancelled, EngineError
        As `obtain_engine`, or when the engine cannot be opened.
    """
    host, cancelled = host or this_host(), cancelled or threading.Event()
    file = obtain_engine(graph, options, report=report, cancelled=cancelled, host=host)
    try:
        return host.run(partial(host.open_file, file)), file
    except EngineDamaged as error:
        # A new driver may refuse what the same TensorRT wrote under the old one.
        report(BuildProgress(None, 0.0, f"{error}; building anew"))
        host.cache.discard(file, cancelled)
    file = obtain_engine(graph, options, report=report, cancelled=cancelled, host=host)
    return host.run(partial(host.open_file, file)), file


def _candidates(given: Graph, precision: str, runtime: Runtime) -> list[Graph]:
    """Return the graphs to try, the fastest first and the safest last."""
    if precision != "auto":
        found = counterpart(given, precision)
        if found is None:
            raise EngineError(
                f"{given.path}: is in {given.precision}, and no {precision} graph of the same "
                f"weights lies beside it (NAME.onnx is fp32, NAME{MIXED_SUFFIX} mixed); export it "
                f"with --precision {precision}"
            )
        return [found]
    mixed, fp32 = _beside(given, "mixed"), _beside(given, "fp32")
    if not runtime.keeps_types and fp32 is not None:
        # TensorRT 8 may put in half precision what the graph wants in single.
        return [fp32]
    return [graph for graph in (mixed, fp32) if graph is not None]


def _beside(given: Graph, precision: str) -> Graph | None:
    """Return ``given`` in ``precision``, None where the file beside it is none that can be used."""
    try:
        return counterpart(given, precision)
    except EngineError as error:
        _LOG.warning("%s", error)
        return None


@dataclass(frozen=True)
class _Task:
    """One wish for an engine."""

    host: Host
    options: BuildOptions
    report: Report
    cancelled: threading.Event

    def engine(self, graph: Graph) -> EngineFile:
        """Return the engine of ``graph`` with the result of its self-test, passed or not."""
        cache, device = self.host.cache, self.host.device
        key = engine_key(graph, graph.precision, self.options, self.host.runtime, device)
        try:
            file = cache.find(key, graph)
        except EngineDamaged:
            file = None  # dealt with below, where nobody else writes
        if file is not None and file.proven is not None:
            return file
        with cache.locked(self.cancelled, lambda: self._say("waiting for another build")):
            return self._tested(graph, key)

    def _tested(self, graph: Graph, key: dict[str, Any]) -> EngineFile:
        cache = self.host.cache
        try:
            file = cache.find(key, graph)
            if file is not None and file.proven is not None:
                return file  # by whoever held the lock before
            if file is not None:
                return self._prove(file, graph)
            why = cache.why_missing(key, graph)
        except EngineDamaged as error:
            why = str(error)
            cache.remove(cache.path(key, graph))
        return self._prove(self._build(graph, key, why), graph)

    def _build(self, graph: Graph, key: dict[str, Any], why: str) -> EngineFile:
        self._say(f"{why}: building in {graph.precision}")
        cache, runtime = self.host.cache, self.host.runtime
        timings = cache.timings(runtime, self.host.device) if runtime.keeps_timings else ""
        part = cache.part(cache.path(key, graph))
        try:
            build = self._in_child(
                self.host.target,
                graph=str(graph.path),
                output=str(part),
                runtime=runtime.name,
                precision=graph.precision,
                workspace_mb=self.options.workspace_mb,
                level=self.options.level,
                timing_cache=str(timings),
            )
            return cache.add(part, key, graph, {**build, "why": why})
        finally:
            part.unlink(missing_ok=True)

    def _prove(self, file: EngineFile, graph: Graph) -> EngineFile:
        reference = self._reference(graph)
        self._say("self-test")
        result = self.host.run(partial(_self_test, self.host.open_file, file, reference))
        return self.host.cache.record(file, result)

    def _reference(self, graph: Graph) -> Reference:
        safest = _beside(graph, "fp32") or graph
        kept = self.host.cache.reference(safest)
        for path, owner in ((reference_beside(graph), graph), (kept, safest)):
            if (found := load_reference(path, owner)) is not None:
                return found
        self._in_child(_REFERENCE, graph=str(safest.path), output=str(kept))
        made = load_reference(kept, safest)
        if made is None:
            raise EngineError(f"{kept} cannot be read back; check the disk")
        return made

    def _in_child(self, target: str, **arguments: str | int | None) -> Any:
        return build_process.run_in_child(
            target, arguments, report=self.report, cancelled=self.cancelled
        )

    def _say(self, step: str) -> None:
        self.report(BuildProgress(None, 0.0, step))


def _self_test(
    open_file: Callable[[EngineFile], Engine], file: EngineFile, reference: Reference
) -> SelfTest:
    engine = open_file(file)
    try:
        return run_self_test(engine, reference)
    finally:
        engine.close()
