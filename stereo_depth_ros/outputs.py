"""How each output is made of a match: the one table of outputs."""

from __future__ import annotations

import enum
from collections.abc import Callable, Collection

import cv2
import numpy as np

from stereo_depth_ros.stage_times import time_stage
from stereo_depth_ros.stereo_match import StereoMatch

MIN_FREE_CONFIDENCE = 0.2
"""Free space removes obstacles from maps, so it takes more than a guess; noise matches noise."""


class Output(enum.Enum):
    """What can be made of a match; `make_outputs` says of what shape."""

    DEPTH = "depth"
    DEPTH_MM = "depth_mm"
    DISPARITY = "disparity"
    CONFIDENCE = "confidence"
    POINTS = "points"
    FREE_SPACE = "free_space"


def make_outputs(match: StereoMatch, outputs: Collection[Output]) -> dict[Output, np.ndarray]:
    """Make outputs of a match.

    Parameters
    ----------
    match
        Its ``seconds`` get the time that each output took.
    outputs
        Which to make.

    Returns
    -------
    dict
        ``DEPTH`` (H, W) float32 m (REP 117: NaN unknown, +Inf too far, -Inf too near), ``DEPTH_MM``
        (H, W) uint16 (0 unknown or out of limits), ``DISPARITY`` (H, W) float32 px less the
        principal-point offset (-1 unknown), ``CONFIDENCE`` (H, W) float32 (NaN unknown), ``POINTS``
        (H, W, 4) float32 x y z in m and packed 0x00RRGGBB, NaN where there is none, ``FREE_SPACE``
        (N, 3) float32 m.
    """
    made = {}
    for output, make in _MAKERS.items():
        # The others are made of it, and its time is its own.
        is_needed = output is Output.DEPTH and not _METRIC.isdisjoint(outputs)
        if is_needed or output in outputs:
            with time_stage(match.seconds, output.value):
                values = make(match)
            if output in outputs:
                made[output] = values
    return made


def _make_depth(match: StereoMatch) -> np.ndarray:
    return match.depth


def _make_depth_mm(match: StereoMatch) -> np.ndarray:
    return to_millimetres(match.depth)


def to_millimetres(depth: np.ndarray) -> np.ndarray:
    """Turn depth into whole millimetres.

    Parameters
    ----------
    depth
        (H, W) float32 m by REP 117.

    Returns
    -------
    np.ndarray
        (H, W) uint16 mm; 0 is what is unknown, out of limits or beyond 65.535 m.
    """
    millimetres = np.rint(depth * np.float32(1000.0))
    with np.errstate(invalid="ignore"):
        fits = (millimetres >= 0) & (millimetres <= 65535)
    return np.where(fits, millimetres, 0).astype(np.uint16)


def _make_disparity(match: StereoMatch) -> np.ndarray:
    disparity = match.disparity - np.float32(match.camera.offset)
    np.maximum(disparity, 0.0, out=disparity)
    disparity[~match.valid] = -1.0
    return disparity


def _make_confidence(match: StereoMatch) -> np.ndarray:
    return np.where(match.valid, match.confidence, np.float32(np.nan))


def _make_points(match: StereoMatch) -> np.ndarray:
    stride = match.settings.points_stride
    depth = match.depth[::stride, ::stride]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    # RViz and PCL read the colour as one number 0x00RRGGBB: bytes B, G, R, 0 on little-endian.
    colour = cv2.cvtColor(match.image[::stride, ::stride].copy(), cv2.COLOR_RGB2BGRA)
    packed = np.bitwise_and(colour.view(np.uint32), 0x00FFFFFF).view(np.float32)
    # Merging whole planes is several times faster than filling every fourth number.
    return cv2.merge([*match.camera.planes(depth, stride), packed])


def _make_free_space(match: StereoMatch) -> np.ndarray:
    stride, clearing_range = match.settings.points_stride, match.settings.clearing_range
    ray_x, ray_y = match.camera.rays
    is_free = np.isposinf(match.depth) & (match.confidence > MIN_FREE_CONFIDENCE)
    rows, columns = np.nonzero(is_free[::stride, ::stride])
    points = np.empty((rows.size, 3), np.float32)
    points[:, 0] = ray_x[0, ::stride][columns]
    points[:, 1] = ray_y[::stride, 0][rows]
    points[:, 2] = 1.0
    return points * np.float32(clearing_range)


_MAKERS: dict[Output, Callable[[StereoMatch], np.ndarray]] = {
    Output.DEPTH: _make_depth,
    Output.DEPTH_MM: _make_depth_mm,
    Output.DISPARITY: _make_disparity,
    Output.CONFIDENCE: _make_confidence,
    Output.POINTS: _make_points,
    Output.FREE_SPACE: _make_free_space,
}

_METRIC = frozenset(Output) - {Output.DISPARITY, Output.CONFIDENCE}
