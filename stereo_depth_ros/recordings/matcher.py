"""What a worker does: a prepared pair is matched, and its results are written."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import (
    Context,
    Engine,
    EngineError,
    EngineLostError,
    EngineSpec,
    open_engine,
)
from stereo_depth_ros.engines.tensorrt.progress import ProgressCallback, ignore_progress
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.recordings.job import FrameWriter, Job
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.recordings.strip import write_strip
from stereo_depth_ros.recordings.write_errors import name_file
from stereo_depth_ros.settings import Settings
from stereo_depth_ros.stage_times import time_stage
from stereo_depth_ros.stereo_match import StereoMatch


@dataclass(frozen=True)
class Plan:
    """What every worker needs to know.

    Attributes
    ----------
    model, backend, max_disparity
        As of `stereo_depth_ros.stereo_model.open_model`.
    settings
        Limits and filters.
    writer
        Writes the results.
    camera
        Of the first pair, for whose size an engine for any size is opened; None where unknown.
    report
        Given the progress where an engine has to be built.
    """

    model: str
    backend: str
    max_disparity: int
    settings: Settings
    writer: FrameWriter
    camera: StereoCamera | None = None
    report: ProgressCallback = ignore_progress


class Matcher:
    """One engine and what it is for; to be used in one thread."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._pipeline: StereoPipeline | None = None

    def open(self) -> EngineSpec:
        """Open the engine, and say what it is.

        Raises
        ------
        ModelError, EngineError
            As `open_engine`.
        """
        return self._open().engine.spec

    def match(self, job: Job) -> Record:
        """Match a pair, write its results, and say what became of it.

        Raises
        ------
        ModelError, EngineError
            When there is no engine, or none any more.
        TargetError
            When nothing can be written.
        """
        pipeline = self._open()
        try:
            match = pipeline.match_prepared(job.pair)
        except EngineLostError:
            raise
        except EngineError as error:
            # The engine is good for the next pair.
            return Record(job.name, job.stamp_ns, job.time_ns, skipped=str(error))
        with time_stage(match.seconds, "write"):
            size = self._plan.writer.write(job, match)
        if job.picture is not None:
            with name_file(job.picture):
                write_strip(job.picture, match, job.is_metric)
        low, high = _find_limits(match, job.is_metric)
        return Record(
            job.name,
            job.stamp_ns,
            job.time_ns,
            valid=float(match.valid.mean()),
            confidence=float(match.confidence.mean()),
            low=low,
            high=high,
            seconds=match.seconds,
            size=size,
        )

    def close(self) -> None:
        """Release the engine."""
        if self._pipeline is not None:
            self._pipeline.engine.close()

    def _open(self) -> StereoPipeline:
        if self._pipeline is None:
            plan = self._plan
            pipeline = StereoPipeline(self._open_engine(None), plan.settings)
            # Only an open engine says for which sizes its graph is, as in the node.
            size = None if plan.camera is None else pipeline.input_size(plan.camera)
            if size is not None:
                pipeline.engine.close()
                pipeline.engine = self._open_engine(size)
            self._pipeline = pipeline
        return self._pipeline

    def _open_engine(self, size: tuple[int, int] | None) -> Engine:
        plan = self._plan
        context = Context(report=plan.report, max_disparity=plan.max_disparity, size=size)
        return open_engine(plan.model, backend=plan.backend, context=context)


def _find_limits(match: StereoMatch, is_metric: bool) -> tuple[float, float]:
    """Return between what nearly all depth in m, or disparity in px, lies."""
    values = match.depth if is_metric else match.disparity[match.valid]
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    low, high = np.percentile(finite, (1, 99))
    return float(low), float(high)
