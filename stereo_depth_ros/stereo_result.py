"""What comes of one pair, and how each output is made of disparity and confidence."""

from __future__ import annotations

import enum
from collections.abc import Collection
from dataclasses import dataclass, field

import cv2
import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.settings import Settings
from stereo_depth_ros.stage_times import timed

MIN_FREE_CONFIDENCE = 0.2
"""Free space removes obstacles from maps, so it takes more than a guess; noise matches noise."""


class Output(enum.Enum):
    """What a pipeline can make of a frame."""

    DEPTH = "depth"
    DEPTH_MM = "depth_mm"
    DISPARITY = "disparity"
    CONFIDENCE = "confidence"
    POINTS = "points"
    FREE_SPACE = "free_space"


@dataclass
class StereoResult:
    """What came of one pair. Arrays are (H, W) of the output size unless said otherwise.

    ``camera`` is the geometry of these images and ``max_disparity`` the largest disparity in px
    that was considered, less the principal-point offset. ``matched`` (float32, px, finite) and
    ``certainty`` (float32, 0..1) are the engine's answer, the latter 0 where the images hold no
    evidence; ``known`` (bool) is what the filters left of it. Of the rest, what was not asked for
    is None: ``depth`` float32 m (REP 117: NaN unknown, +Inf too far, -Inf too near), ``depth_mm``
    uint16 (0 unknown or out of limits), ``disparity`` float32 px less the principal-point offset
    (-1 unknown), ``confidence`` float32 (NaN unknown), ``points`` (H, W, 4) float32 x y z in m
    and packed 0x00RRGGBB, NaN where there is none, ``free_space`` (N, 3) float32 m. ``settings``
    are those it was made with; ``seconds`` is the time that each stage took.
    """

    camera: StereoCamera
    settings: Settings
    max_disparity: float
    image: np.ndarray
    matched: np.ndarray
    certainty: np.ndarray
    known: np.ndarray
    depth: np.ndarray | None = None
    depth_mm: np.ndarray | None = None
    disparity: np.ndarray | None = None
    confidence: np.ndarray | None = None
    points: np.ndarray | None = None
    free_space: np.ndarray | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def make_outputs(result: StereoResult, wanted: Collection[Output]) -> None:
    """Fill in the ``wanted`` outputs of ``result``, and the time that each took."""
    seconds, unknown = result.seconds, ~result.known
    if set(wanted) - {Output.DISPARITY, Output.CONFIDENCE}:
        _make_metric(result, wanted)
    if Output.DISPARITY in wanted:
        with timed(seconds, "disparity"):
            disparity = result.matched - np.float32(result.camera.offset)
            np.maximum(disparity, 0.0, out=disparity)
            disparity[unknown] = -1.0
            result.disparity = disparity
    if Output.CONFIDENCE in wanted:
        with timed(seconds, "confidence"):
            confidence = result.certainty.copy()
            confidence[unknown] = np.nan
            result.confidence = confidence


def _make_metric(result: StereoResult, wanted: Collection[Output]) -> None:
    seconds, settings = result.seconds, result.settings
    with timed(seconds, "depth"):
        depth = result.camera.depth(result.matched)
        depth[depth < settings.min_depth] = -np.inf
        depth[depth > settings.max_depth] = np.inf
        depth[~result.known] = np.nan
    if Output.DEPTH in wanted:
        result.depth = depth
    if Output.DEPTH_MM in wanted:
        with timed(seconds, "depth_mm"):
            result.depth_mm = to_millimetres(depth)
    if Output.POINTS in wanted:
        with timed(seconds, "points"):
            result.points = _cloud(depth, result, settings.points_stride)
    if Output.FREE_SPACE in wanted:
        with timed(seconds, "free_space"):
            result.free_space = _free_space(depth, result)


def to_millimetres(depth: np.ndarray) -> np.ndarray:
    """Return ``depth`` (metres, float32, REP 117) as uint16 millimetres; 0 is no measurement.

    What is unknown, out of limits or beyond 65.535 m is 0.
    """
    millimetres = np.rint(depth * np.float32(1000.0))
    with np.errstate(invalid="ignore"):
        fits = (millimetres >= 0) & (millimetres <= 65535)
    return np.where(fits, millimetres, 0).astype(np.uint16)


def _cloud(depth: np.ndarray, result: StereoResult, stride: int) -> np.ndarray:
    depth = depth[::stride, ::stride]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    # RViz and PCL read the colour as one number 0x00RRGGBB: bytes B, G, R, 0 on little-endian.
    colour = cv2.cvtColor(result.image[::stride, ::stride].copy(), cv2.COLOR_RGB2BGRA)
    packed = np.bitwise_and(colour.view(np.uint32), 0x00FFFFFF).view(np.float32)
    # Merging whole planes is several times faster than filling every fourth number.
    return cv2.merge([*result.camera.planes(depth, stride), packed])


def _free_space(depth: np.ndarray, result: StereoResult) -> np.ndarray:
    stride, clearing_range = result.settings.points_stride, result.settings.clearing_range
    ray_x, ray_y = result.camera.rays
    is_free = np.isposinf(depth) & (result.certainty > MIN_FREE_CONFIDENCE)
    rows, columns = np.nonzero(is_free[::stride, ::stride])
    points = np.empty((rows.size, 3), np.float32)
    points[:, 0] = ray_x[0, ::stride][columns]
    points[:, 1] = ray_y[::stride, 0][rows]
    points[:, 2] = 1.0
    return points * np.float32(clearing_range)
