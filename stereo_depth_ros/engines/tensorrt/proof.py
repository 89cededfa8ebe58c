"""One engine: the one that is there, else one that is built, and its self-test."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.engines.base import EngineError, EngineLostError
from stereo_depth_ros.engines.prior import PriorEngine
from stereo_depth_ros.engines.tensorrt import build_process
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.graph import Graph, counterpart
from stereo_depth_ros.engines.tensorrt.host import Host
from stereo_depth_ros.engines.tensorrt.key import engine_key
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import BuildProgress, ProgressCallback
from stereo_depth_ros.engines.tensorrt.self_test import (
    Reference,
    load_reference,
    run_self_test,
)
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest

_LOG = logging.getLogger(__name__)
# Once may be the GPU, or what else ran on it; twice is the plan.
_MAX_LOSSES = 2
_REFERENCE = "stereo_depth_ros.engines.tensorrt.self_test:write_reference"


class Obtained(NamedTuple):
    """An engine file with its verdict, and the ``engine``, open, where the test was run now."""

    file: EngineFile
    engine: PriorEngine | None


def precision_text(graph: Graph, options: BuildOptions) -> str:
    """Return what an engine of ``graph`` computes in: "mixed", "fp32", "fp32 without TF32"."""
    return graph.precision if options.tf32 else f"{graph.precision} without TF32"


def beside(graph: Graph, precision: str) -> Graph | None:
    """Return ``graph`` in ``precision``, None where the file beside it is none that can be used."""
    try:
        return counterpart(graph, precision)
    except EngineError as error:
        _LOG.warning("%s", error)
        return None


@dataclass(frozen=True)
class Prover:
    """Obtains engines with ``options`` on ``host``; see `obtain_engine` for the rest."""

    host: Host
    options: BuildOptions
    report: ProgressCallback
    cancelled: threading.Event

    def obtain(self, graph: Graph) -> Obtained:
        """Return the engine of ``graph`` with the result of its self-test, passed or not.

        Raises
        ------
        BuildCancelled
            When ``cancelled`` was set.
        EngineLostError
            When the self-test loses the GPU.
        EngineError
            When it cannot be built or tested.
        """
        cache, device = self.host.cache, self.host.device
        key = engine_key(graph, graph.precision, self.options, self.host.runtime, device)
        try:
            file = cache.find(key, graph)
        except EngineDamaged:
            file = None  # dealt with below, where nobody else writes
        if file is not None and file.proven is not None:
            return Obtained(file, None)
        with cache.lock(self.cancelled, lambda: self._say("waiting for another build")):
            return self._obtain_locked(graph, key)

    def _obtain_locked(self, graph: Graph, key: dict[str, Any]) -> Obtained:
        cache = self.host.cache
        try:
            file = cache.find(key, graph)
            if file is not None and file.proven is not None:
                return Obtained(file, None)  # by whoever held the lock before
            if file is not None:
                return self._prove(file, self._reference(graph))
            reason = cache.why_missing(key, graph)
        except EngineDamaged as error:
            reason = str(error)
            cache.remove(cache.path(key, graph))
        self._say(f"{reason}: building in {precision_text(graph, self.options)}")
        # First, as a build takes hours on small boards and is lost on whoever cannot prove it.
        reference = self._reference(graph)
        file = self._build(graph, key, reason)
        try:
            return self._prove(file, reference)
        except EngineDamaged as error:
            # It would refuse the next one too.
            return Obtained(cache.refuse(file, str(error)), None)

    def _build(self, graph: Graph, key: dict[str, Any], reason: str) -> EngineFile:
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
                tf32=self.options.tf32,
                timing_cache=str(timings),
            )
            return cache.add(part, key, graph, {**build, "why": reason})
        finally:
            part.unlink(missing_ok=True)

    def _prove(self, file: EngineFile, reference: Reference) -> Obtained:
        self._say("self-test")
        test = partial(_self_test, self.host.open_file, file, reference)
        try:
            result, engine = self.host.run(test)
        except EngineLostError as error:
            self._record_loss(file, str(error))
            raise
        try:
            return Obtained(self.host.cache.record(file, result), engine)
        except BaseException:
            if engine is not None:
                self.host.run(engine.close)
            raise

    def _record_loss(self, file: EngineFile, text: str) -> None:
        file = self.host.cache.record_loss(file)
        if file.losses >= _MAX_LOSSES:
            self.host.cache.refuse(file, f"lost the GPU in {file.losses} self-tests: {text}")

    def _reference(self, graph: Graph) -> Reference:
        safest = beside(graph, "fp32") or graph
        stored = self.host.cache.reference(safest)
        for path, owner in ((locate_reference(graph.path), graph), (stored, safest)):
            if (reference := load_reference(path, owner)) is not None:
                return reference
        self._in_child(_REFERENCE, graph=str(safest.path), output=str(stored))
        made = load_reference(stored, safest)
        if made is None:
            raise EngineError(f"{stored} cannot be read back; check the disk")
        return made

    def _in_child(self, target: str, **arguments: str | int | None) -> Any:
        return build_process.run_in_child(
            target, arguments, report=self.report, cancelled=self.cancelled
        )

    def _say(self, step: str) -> None:
        self.report(BuildProgress(None, 0.0, step))


def _self_test(
    open_file: Callable[[EngineFile], PriorEngine], file: EngineFile, reference: Reference
) -> tuple[SelfTest, PriorEngine | None]:
    """Return the result, and the engine, still open, if it passed."""
    engine = open_file(file)
    result = None
    try:
        result = run_self_test(engine, reference)
    finally:
        if result is None or not result.passed:
            engine.close()
    return result, engine if result.passed else None
