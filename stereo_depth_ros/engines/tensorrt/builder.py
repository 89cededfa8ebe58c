"""Graph to engine, within the calling process; see build_process for one that can be stopped."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.device import Device, find_device, free_memory_mb
from stereo_depth_ros.engines.tensorrt.error_log import ErrorLog
from stereo_depth_ros.engines.tensorrt.graph import Graph, read_graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.parts import part_of
from stereo_depth_ros.engines.tensorrt.progress import Phases
from stereo_depth_ros.engines.tensorrt.versions import Runtime, find_runtime

REVISIONS = {"tensorrt": 1, "tensorrt_rtx": 2}
"""By module, raised whenever the same graph and options would build a different engine."""

Steps = Callable[[float | None, str], None]

_LOG = logging.getLogger(__name__)
_MB = 2**20
# What a build needs beside the scratch memory: the weights some times over, and TensorRT itself.
_COPIES_OF_WEIGHTS, _BASE_MB = 4, 1024
_LARGEST_WORKSPACE_MB, _LEAST_WORKSPACE_MB = 8192, 256


def build_file(
    graph: str,
    output: str,
    *,
    runtime: str,
    precision: str,
    workspace_mb: int = 0,
    level: int | None = None,
    tf32: bool = True,
    compute_capability: str | None = None,
    timing_cache: str = "",
    report: Steps,
    cancelled: threading.Event,
) -> dict[str, Any]:
    """Build the engine of the graph file in ``precision`` and write the plan to ``output``.

    What goes in and comes out is plain, to pass between processes. ``timing_cache`` is a file of
    measured kernels that is used and added to, "" for none. Returns ``layers``, ``seconds`` and
    ``workspace_mb``, as taken.

    Raises
    ------
    EngineError
        When the build cannot start or fails.
    """
    if compute_capability is None:
        # First the driver: without one TensorRT does not always fail, it may crash.
        device = find_device()
        free = free_memory_mb(device)
        workspace_mb = workspace_for(Path(graph).stat().st_size, workspace_mb, device, free)
    else:
        workspace_mb = workspace_mb or _LARGEST_WORKSPACE_MB
    tensorrt = find_runtime(runtime)
    read = read_graph(Path(graph))
    builder = Builder(tensorrt, read, report=report, cancelled=cancelled)
    started = time.monotonic()
    timings = Path(timing_cache) if timing_cache else None
    try:
        plan = builder.build(
            BuildOptions(precision, workspace_mb, level, tf32),
            compute_capability=compute_capability,
            timing_cache=timings,
        )
        Path(output).write_bytes(plan)
    finally:
        # Of a build that was stopped or failed too: the next one starts from them.
        if timings is not None:
            builder.save_timings(timings)
    return {
        "layers": builder.network.num_layers,
        "seconds": round(time.monotonic() - started, 1),
        "workspace_mb": workspace_mb,
    }


def workspace_for(graph_bytes: int, asked_mb: int, device: Device, free_mb: int) -> int:
    """Return the scratch memory in MB that the build of a graph may take on ``device``.

    Where none was asked for it is three eighths of the memory, less where less is free: 2.8 GB on
    a board of 8 GB.

    Raises
    ------
    EngineError
        When too little memory is free.
    """
    needed = _BASE_MB + _COPIES_OF_WEIGHTS * graph_bytes // _MB
    share = min(_LARGEST_WORKSPACE_MB, device.memory_mb * 3 // 8)
    workspace = asked_mb or max(_LEAST_WORKSPACE_MB, min(share, free_mb - needed))
    if free_mb < needed + workspace:
        raise EngineError(
            f"a build takes about {needed + workspace} MB, {workspace} MB of them workspace, but "
            f"only {free_mb} MB are free on {device.name}; stop what else uses the GPU, or lower "
            "the workspace"
        )
    return workspace


class Builder:
    """Builds one graph with one TensorRT; ``network`` can be inspected once `parse` has run."""

    def __init__(
        self,
        runtime: Runtime,
        graph: Graph,
        *,
        report: Steps = lambda percent, step: None,
        cancelled: threading.Event | None = None,
    ) -> None:
        self._runtime, self._graph = runtime, graph
        self._report = report
        self._cancelled = cancelled or threading.Event()
        self._errors = ErrorLog()
        logger = runtime.logger()
        runtime.load_plugins()
        try:
            self._builder = runtime.module.Builder(logger)
        except TypeError as error:
            # How the bindings put it that the library gave no builder.
            raise self._failure("cannot start") from error
        self.network = self._builder.create_network(runtime.network_flags())
        self._timings: Any = None
        self._parser = runtime.module.OnnxParser(self.network, logger)

    def parse(self) -> None:
        """Read the graph into ``network``.

        Raises
        ------
        EngineError
            Naming the node that this TensorRT cannot run.
        """
        self._report(None, "reading the graph")
        if not self._parser.parse_from_file(str(self._graph.path)):
            problems = "; ".join(
                _parser_error(self._parser.get_error(index))
                for index in range(self._parser.num_errors)
            )
            raise EngineError(
                f"{self._graph.path}: {self._runtime} cannot run this graph: {problems}. "
                "Export it with this package's export, or use another TensorRT"
            )

    def build(
        self,
        options: BuildOptions,
        *,
        compute_capability: str | None = None,
        timing_cache: Path | None = None,
    ) -> Any:
        """Return the plan, a buffer of bytes; see `save_timings` for what else it leaves.

        ``options.precision`` must be that of the graph where this TensorRT keeps types.

        Raises
        ------
        EngineError
            When TensorRT gives up, with its own words, or when it was told to.
        """
        self.parse()
        config = self._builder.create_builder_config()
        self._runtime.configure(
            config,
            workspace_bytes=options.workspace_mb * _MB,
            level=options.level,
            tf32=options.tf32,
            compute_capability=compute_capability,
        )
        if options.precision == "mixed" and not self._runtime.keeps_types:
            self._runtime.ask_for_types(self.network, config)
        if self._runtime.reports_progress:
            phases = Phases()
            monitor = self._monitor(phases)
            config.progress_monitor = monitor
        self._timings = _use_timings(config, timing_cache)
        self._report(None, "building")
        plan = self._builder.build_serialized_network(self.network, config)
        if self._cancelled.is_set():
            raise EngineError(f"{self._graph.path}: the build was cancelled")
        if plan is None:
            raise self._failure("built no engine")
        return plan

    def save_timings(self, path: Path) -> None:
        """Write the kernels that were measured so far; losing them costs the next build time."""
        if self._timings is None:
            return
        part = part_of(path)
        try:
            part.write_bytes(self._timings.serialize())
            os.replace(part, path)
        except (OSError, TypeError) as error:
            _LOG.warning("timings are not kept: %s: %s", path, error)
            with suppress(OSError):  # even of no file, where nothing can be written
                part.unlink()

    def _monitor(self, phases: Phases) -> Any:
        def begins(name: str, parent: str | None, steps: int) -> None:
            self._report(phases.begin(name, parent, steps), name)

        def steps(name: str, index: int) -> bool:
            self._report(phases.step(name, index), name)
            return not self._cancelled.is_set()

        def ends(name: str) -> None:
            phases.end(name)

        return self._runtime.monitor(begins, steps, ends)

    def _failure(self, what: str) -> EngineError:
        return EngineError(
            f"{self._graph.path}: {self._runtime} {what}: {self._errors}. If memory ran out, lower "
            "the workspace or the size of the images"
        )


def _parser_error(error: Any) -> str:
    # TensorRT 8 knows the node's number alone.
    named = getattr(error, "node_name", None)
    where = f"node {error.node()}"
    if named is not None and named():
        where = f"{error.node_operator()} '{named()}'"
    return f"{where}: {_one_line(error.desc())}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _use_timings(config: Any, path: Path | None) -> Any:
    """Give ``config`` the measured kernels of the file; returns the timing cache, if any."""
    if path is None:
        return None
    known = path.read_bytes() if path.is_file() else b""
    # A file of another version or a damaged one is refused, and an empty one will do.
    for content in (known, b""):
        timings = config.create_timing_cache(content)
        if timings is not None and config.set_timing_cache(timings, ignore_mismatch=False):
            return timings
    return None
