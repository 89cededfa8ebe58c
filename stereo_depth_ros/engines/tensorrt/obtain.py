"""A proven engine for a graph: the one that is there, else one that is built and tried now."""

from __future__ import annotations

import threading
from dataclasses import replace
from functools import partial
from pathlib import Path

from stereo_depth_ros.artifact import MIXED_SUFFIX
from stereo_depth_ros.engines.base import EngineError, EngineLostError
from stereo_depth_ros.engines.prior import PriorEngine
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.graph import Graph, counterpart, read_graph
from stereo_depth_ros.engines.tensorrt.host import Host, this_host
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import (
    BuildProgress,
    ProgressCallback,
    ignore_progress,
)
from stereo_depth_ros.engines.tensorrt.proof import Obtained, Prover, beside, precision_text
from stereo_depth_ros.engines.tensorrt.static_files import make_static
from stereo_depth_ros.engines.tensorrt.versions import Runtime


def obtain_engine(
    graph: Path,
    options: BuildOptions,
    *,
    size: tuple[int, int] | None = None,
    report: ProgressCallback = ignore_progress,
    cancelled: threading.Event | None = None,
    host: Host | None = None,
) -> EngineFile:
    """Obtain an engine that passed its self-test: one that was kept, or one that is built now.

    The build and the float32 reference run in child processes, the self-test within ``host.run``.
    Where ``options.precision`` is "auto" and mixed fails, fp32 is tried, and where fp32 fails its
    self-test, fp32 without TF32; ``notes`` of the result say why. What failed its self-test is
    remembered and not built again, and so is what TensorRT builds but does not open, and what has
    lost the GPU twice in its self-test.

    Parameters
    ----------
    graph
        An .onnx file that keeps the graph contract.
    options
        Of the build.
    size
        Height and width in px of the images, for a graph for any size; None for its own.
    report
        Called with each step of it.
    cancelled
        Ends the build when it is set.
    host
        TensorRT, GPU and cache; None for those of this machine.

    Returns
    -------
    EngineFile
        Whole, and right by its self-test.

    Raises
    ------
    BuildCancelled
        When ``cancelled`` was set.
    EngineLostError
        When the GPU is lost in the self-test.
    EngineError
        When no engine can be had; the text says why, one precision after the other.
    """
    host = host or this_host()
    graph = make_static(graph, size, host.cache.directory)
    obtained = _obtain(graph, Prover(host, options, report, cancelled or threading.Event()))
    if obtained.engine is not None:
        host.run(obtained.engine.close)
    return obtained.file


def open_obtained(
    graph: Path,
    options: BuildOptions,
    *,
    size: tuple[int, int] | None = None,
    report: ProgressCallback = ignore_progress,
    cancelled: threading.Event | None = None,
    host: Host | None = None,
) -> tuple[PriorEngine, EngineFile]:
    """Obtain an engine and open it; one that was kept but is of no use any more is rebuilt once.

    Parameters
    ----------
    graph, options, size, report, cancelled, host
        As of `obtain_engine`.

    Returns
    -------
    tuple of PriorEngine and EngineFile
        The open engine, its caller's to close, and the file that it was opened from.

    Raises
    ------
    BuildCancelled, EngineLostError, EngineError
        As `obtain_engine`, or when the engine cannot be opened.
    """
    host, cancelled = host or this_host(), cancelled or threading.Event()
    prover = Prover(host, options, report, cancelled)
    graph = make_static(graph, size, host.cache.directory)
    obtained = _obtain(graph, prover)
    try:
        return _open(obtained, host)
    except EngineDamaged as error:
        # A new driver may refuse what the same TensorRT wrote under the old one.
        report(BuildProgress(None, 0.0, f"{error}; building anew"))
        _discard(obtained, host, cancelled, error)
    return _open(_obtain(graph, prover), host)


def _discard(
    obtained: Obtained, host: Host, cancelled: threading.Event, refusal: EngineDamaged
) -> None:
    try:
        host.cache.discard(obtained.file, cancelled)
    except BuildCancelled:
        raise
    except (EngineError, OSError) as error:
        raise EngineError(f"{refusal}; it cannot be built anew: {error}") from refusal


def _open(obtained: Obtained, host: Host) -> tuple[PriorEngine, EngineFile]:
    file, engine = obtained
    if engine is None:
        engine = host.run(partial(host.open_file, file))
    return engine, file


def _obtain(graph: Path, prover: Prover) -> Obtained:
    """Return the first engine that passes, of the precisions that may be taken."""
    refusals: list[str] = []
    given, runtime = read_graph(graph), prover.host.runtime
    for candidate in _candidates(given, prover.options.precision, runtime):
        for options in _roundings(candidate, prover):
            text = precision_text(candidate, options)
            try:
                file, engine = replace(prover, options=options).obtain(candidate)
            except (BuildCancelled, EngineLostError):
                raise
            except EngineError as error:
                refusals.append(f"{text}: {error}")
                break
            if file.proven:
                return Obtained(replace(file, notes=tuple(refusals)), engine)
            refusals.append(f"{text}: {file.failure}")
            if file.self_test is None:
                break
    raise EngineError(f"{graph}: no TensorRT engine can be used: {'. '.join(refusals)}")


def _roundings(graph: Graph, prover: Prover) -> list[BuildOptions]:
    """Return the options to build ``graph`` with, one after the other while self-tests fail."""
    given = prover.options
    rounds = graph.precision == "fp32" and prover.host.device.has_tf32
    return [given, replace(given, tf32=False)] if rounds and given.tf32 else [given]


def _candidates(given: Graph, precision: str, runtime: Runtime) -> list[Graph]:
    """Return the graphs to try, the fastest first and the safest last."""
    if precision != "auto":
        asked = counterpart(given, precision)
        if asked is None:
            raise EngineError(
                f"{given.path}: is in {given.precision}, and no {precision} graph of the same "
                f"weights lies beside it (NAME.onnx is fp32, NAME{MIXED_SUFFIX} mixed); export it "
                f"with --precision {precision}"
            )
        return [asked]
    mixed, fp32 = beside(given, "mixed"), beside(given, "fp32")
    if not runtime.keeps_types and fp32 is not None:
        # TensorRT 8 may put in half precision what the graph wants in single.
        return [fp32]
    return [graph for graph in (mixed, fp32) if graph is not None]
