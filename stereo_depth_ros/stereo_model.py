"""Depth from pairs of images in Python: open a model once, match as many pairs as there are."""

from __future__ import annotations

import logging
import os
from typing import Any

from stereo_depth_ros.engines import Context, EngineError, EngineSpec, open_engine
from stereo_depth_ros.engines.tensorrt.progress import ProgressCallback, ignore_progress
from stereo_depth_ros.fit import choose_size
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_geometry import CalibrationLike, find_geometry
from stereo_depth_ros.pair_images import load_pair
from stereo_depth_ros.pair_monitor import judge_pair
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings
from stereo_depth_ros.stereo_depth import StereoDepth

_LOG = logging.getLogger(__name__)


class WrongPairError(FrameError):
    """A pair that can only give wrong depth; the text names the cause and the cure."""


def open_model(
    model: str | os.PathLike[str] = "auto",
    *,
    backend: str = "auto",
    max_disparity: int = 0,
    size: tuple[int, int] | None = None,
    settings: Settings | None = None,
    report: ProgressCallback = ignore_progress,
) -> StereoModel:
    """Open a model, ready to match pairs.

    >>> with open_model("lite") as model:
    ...     depth = model.match("left.png", "right.png", focal_px=460.8, baseline_m=0.12)
    ...     depth.save("out")

    Parameters
    ----------
    model
        The name of an installed model, a card, or the path of an .onnx or .engine file; "auto" is
        lite, or sgbm where that does not run, or an added model that was measured to be better.
    backend
        What runs it; "auto" takes the first that can.
    max_disparity
        Search range in px from the disparity of infinity, for models that can change it; 0 leaves
        it to the model.
    size
        Height and width in px of the images to come, where known: a TensorRT engine of a network
        for any size is built for it.
    settings
        Limits and filters, by default those of the node.
    report
        Given the progress where a TensorRT engine has to be built.

    Raises
    ------
    ModelError
        When the model is unknown, missing or altered.
    EngineError
        When nothing runs it here.
    """
    settings = settings or Settings()
    if size is not None:
        size = choose_size(*size, USUAL_SIZE, settings.max_side)
    context = Context(report=report, max_disparity=max_disparity, size=size)
    engine = open_engine(os.fspath(model), backend=backend, context=context)
    return StereoModel(StereoPipeline(engine, settings))


class StereoModel:
    """An open model; a context manager, to be used in the thread that opened it."""

    def __init__(self, pipeline: StereoPipeline) -> None:
        self._pipeline = pipeline
        self._is_open = True

    @property
    def spec(self) -> EngineSpec:
        """What runs, where, and why."""
        return self._pipeline.engine.spec

    def match(
        self,
        left: Any,
        right: Any,
        calibration: CalibrationLike = None,
        *,
        focal_px: float = 0.0,
        baseline_m: float = 0.0,
        rectify: bool = False,
        check: bool = True,
    ) -> StereoDepth:
        """Match one pair; it owes nothing to the pairs before it.

        What spoils the depth without preventing it is logged, and in ``warnings`` of the result.

        Parameters
        ----------
        left, right
            Paths of image files, arrays (H, W) grey or (H, W, 3) RGB of uint8 or uint16, or images
            of Pillow.
        calibration
            The path of a calibration file, a `StereoCamera`, the `Calibration` of the left and of
            the right camera, or a `PairGeometry`, which leaves nothing open. Without one, and
            without ``focal_px``, there is disparity but no depth.
        focal_px
            Focal length in px of rectified images with the principal point in their middle.
        baseline_m
            Distance between the cameras in m, with ``focal_px`` or where the calibration has none.
        rectify
            Whether the images are raw, to be rectified by K, D and R of ``calibration``; files that
            say so themselves need no telling.
        check
            Whether to refuse pairs that can only give wrong depth, such as left and right swapped.

        Raises
        ------
        FileNotFoundError, IsADirectoryError
            For an image that is missing, or is a folder.
        InputError
            For images or a calibration that cannot be used, as `WrongPairError` for a pair that
            ``check`` refuses.
        EngineError
            When the model fails, or is closed.
        """
        if not self._is_open:
            raise EngineError("the model is closed; open it again with open_model()")
        left, right = load_pair(left, right)
        height, width = left.shape[:2]
        geometry = find_geometry(calibration, width, height, focal_px, baseline_m, rectify)
        camera = geometry.camera
        warnings = list(camera.warnings)
        if check:
            state = judge_pair(left, right, camera.offset, geometry.rectify)
            if state.refusal is not None:
                # Cameras that converge put infinity elsewhere, which only a calibration tells.
                is_guess = state.refusal == SWAPPED and not geometry.is_metric
                hint = "; or the cameras converge: give their calibration" if is_guess else ""
                raise WrongPairError(f"{state.refusal}{hint}")
            warnings += state.findings
        for warning in warnings:
            _LOG.warning("%s", warning)
        self._pipeline.restart()
        match = self._pipeline.match(left, right, camera, geometry.rectify)
        return StereoDepth(match, self.spec, geometry.is_metric, tuple(warnings))

    def close(self) -> None:
        """Release what the model holds; closing twice is harmless."""
        self._is_open = False
        self._pipeline.engine.close()

    def __enter__(self) -> StereoModel:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
