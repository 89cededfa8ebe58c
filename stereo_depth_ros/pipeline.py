"""From a pair of images to everything that is published: the one place that knows the order."""

from __future__ import annotations

import enum
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil

import cv2
import numpy as np

from stereo_depth_ros import filters
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine
from stereo_depth_ros.fit import Fit, resized_nearest
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.settings import Settings


class Output(enum.Enum):
    """What a pipeline can make of a frame."""

    DEPTH = "depth"
    DEPTH_MM = "depth_mm"
    DISPARITY = "disparity"
    CONFIDENCE = "confidence"
    POINTS = "points"
    FREE_SPACE = "free_space"


class FrameError(ValueError):
    """A frame that cannot be processed; the text names the cause and the cure."""


@dataclass
class StereoResult:
    """What came of one pair. Arrays are (H, W) of the output size unless said otherwise.

    ``camera`` is the geometry of these images and ``max_disparity`` the largest disparity in px
    that was considered, less the principal-point offset. ``matched`` (float32, px, finite) and
    ``certainty`` (float32, 0..1) are the engine's answer, ``known`` (bool) what the filters left of
    it. Of the rest, what was not asked for is None: ``depth`` float32 m (REP 117: NaN unknown,
    +Inf too far, -Inf too near), ``depth_mm`` uint16 (0 unknown or out of limits), ``disparity``
    float32 px less the principal-point offset (-1 unknown), ``confidence`` float32 (NaN unknown),
    ``points`` (H, W, 4) float32 x y z in m and packed 0x00RRGGBB, NaN where there is none,
    ``free_space`` (N, 3) float32 m. ``settings`` are those it was made with; ``seconds`` is the
    time that each stage took.
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


class StereoPipeline:
    """Runs one engine on frames of any size; ``settings`` may be replaced between frames."""

    def __init__(self, engine: Engine, settings: Settings | None = None) -> None:
        self.engine = engine
        self.settings = settings or Settings()
        self._previous: tuple[np.ndarray, np.ndarray] | None = None

    def process(
        self,
        left: np.ndarray,
        right: np.ndarray,
        camera: StereoCamera,
        wanted: Collection[Output],
        rectify: tuple[RectificationMap, RectificationMap] | None = None,
    ) -> StereoResult:
        """Turn a pair, (H, W, 3) uint8 RGB each, into the ``wanted`` outputs and no others.

        ``camera`` is the geometry of the rectified pair; ``rectify`` the maps of raw images.

        Raises
        ------
        FrameError
            When the sizes of images and camera differ.
        EngineError
            When the engine fails.
        """
        _check_sizes(left, right, camera)
        seconds: dict[str, float] = {}
        settings = self.settings
        if rectify is not None:
            with _timed(seconds, "rectify"):
                left, right = rectify[0](left), rectify[1](right)
        spec = self.engine.spec
        verge, fit = self._plan(camera)
        at_input = settings.output_resolution == "input"
        with _timed(seconds, "fit"):
            small_left = fit.shrink(_extended(left, verge, 0))
            left_input = fit.pad(small_left)
            right_input = fit.pad(fit.shrink(_extended(right, 0, verge)))
        with _timed(seconds, "inference"):
            disparity, confidence = self.engine.infer(left_input, right_input)
            back = self._right_view(left_input, right_input) if settings.lr_check else None
        with _timed(seconds, "filters"):
            disparity, confidence = fit.crop(disparity), fit.crop(confidence)
            known = filters.confident(confidence, settings.confidence_threshold)
            known &= np.isfinite(disparity)
            if back is not None:
                tolerance = settings.lr_tolerance * (fit.scale if at_input else 1.0)
                known &= filters.left_right_consistent(disparity, fit.crop(back), tolerance)
            if at_input:
                image, margin, scale = left, verge, 1.0
                disparity = fit.enlarge_disparity(disparity)
                confidence, known = fit.enlarge_nearest(confidence), fit.enlarge_nearest(known)
            else:
                scale, margin = fit.scale, round(verge * fit.scale)
                image = small_left[:, margin:]
            disparity = disparity[:, margin:] - np.float32(verge * scale)
            confidence, known = confidence[:, margin:], known[:, margin:]
            if rectify is not None:
                inside = rectify[0].inside
                known = known & (
                    inside if at_input else resized_nearest(inside, *known.shape[::-1])
                )
            disparity = self._over_time(disparity, image, settings.temporal_gain)
            known = _filtered(disparity, known, settings)
        search = (spec.max_disparity or fit.inner_width / 3) * scale / fit.scale
        output_camera = self.output_camera(camera, settings)
        result = StereoResult(
            camera=output_camera,
            settings=settings,
            max_disparity=search - verge * scale - output_camera.offset,
            image=image,
            matched=disparity,
            certainty=confidence,
            known=known,
            seconds=seconds,
        )
        _make(result, wanted)
        return result

    def output_camera(self, camera: StereoCamera, settings: Settings) -> StereoCamera:
        """Return the geometry of the outputs for a pair of ``camera``."""
        if settings.output_resolution == "input":
            return camera
        verge, fit = self._plan(camera)
        extended = fit.camera(camera.cropped(-verge, 0, fit.width, fit.height))
        margin = round(verge * fit.scale)
        return extended.cropped(margin, 0, fit.inner_width - margin, fit.inner_height)

    def _plan(self, camera: StereoCamera) -> tuple[int, Fit]:
        """Return by how many columns the views are moved apart, and how they fit the engine then.

        Engines search from zero upwards; with verged cameras the far field lies below zero.
        """
        verge = max(0, ceil(-camera.offset))
        spec = self.engine.spec
        return verge, Fit.plan(camera.width + verge, camera.height, spec.width, spec.height)

    def _right_view(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        # Mirrored and exchanged, the right view is a left view that the same engine can match.
        mirrored, _ = self.engine.infer(right[:, ::-1], left[:, ::-1])
        return mirrored[:, ::-1]

    def _over_time(self, disparity: np.ndarray, image: np.ndarray, gain: float) -> np.ndarray:
        if gain >= 1.0:
            self._previous = None
            return disparity
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if self._previous is not None and self._previous[0].shape == disparity.shape:
            disparity = filters.blend_over_time(disparity, grey, *self._previous, gain=gain)
        self._previous = disparity, grey
        return disparity


def _filtered(disparity: np.ndarray, known: np.ndarray, settings: Settings) -> np.ndarray:
    if settings.edge_filter > 0:
        left = np.where(known, disparity, np.float32(np.nan))
        known = known & filters.not_flying(left, settings.edge_filter)
    if settings.speckle_size > 0:
        left = np.where(known, disparity, np.float32(np.nan))
        known = known & filters.not_speckle(left, settings.speckle_size, settings.speckle_step)
    if settings.roi:
        known = known & filters.inside_polygon(settings.roi, *disparity.shape)
    return known


def _make(result: StereoResult, wanted: Collection[Output]) -> None:
    seconds, unknown = result.seconds, ~result.known
    if set(wanted) - {Output.DISPARITY, Output.CONFIDENCE}:
        _make_metric(result, wanted)
    if Output.DISPARITY in wanted:
        with _timed(seconds, "disparity"):
            disparity = result.matched - np.float32(result.camera.offset)
            np.maximum(disparity, 0.0, out=disparity)
            disparity[unknown] = -1.0
            result.disparity = disparity
    if Output.CONFIDENCE in wanted:
        with _timed(seconds, "confidence"):
            confidence = result.certainty.copy()
            confidence[unknown] = np.nan
            result.confidence = confidence


def _make_metric(result: StereoResult, wanted: Collection[Output]) -> None:
    seconds, settings = result.seconds, result.settings
    with _timed(seconds, "depth"):
        depth = result.camera.depth(result.matched)
        depth[depth < settings.min_depth] = -np.inf
        depth[depth > settings.max_depth] = np.inf
        depth[~result.known] = np.nan
    if Output.DEPTH in wanted:
        result.depth = depth
    if Output.DEPTH_MM in wanted:
        with _timed(seconds, "depth_mm"):
            result.depth_mm = to_millimetres(depth)
    if Output.POINTS in wanted:
        with _timed(seconds, "points"):
            result.points = _cloud(depth, result, settings.points_stride)
    if Output.FREE_SPACE in wanted:
        with _timed(seconds, "free_space"):
            result.free_space = _free_space(
                depth, result.camera, settings.clearing_range, settings.points_stride
            )


def to_millimetres(depth: np.ndarray) -> np.ndarray:
    """Return ``depth`` (metres, float32, REP 117) as uint16 millimetres; 0 is no measurement.

    What is unknown, out of limits or beyond 65.535 m is 0.
    """
    millimetres = np.rint(depth * np.float32(1000.0))
    with np.errstate(invalid="ignore"):
        fits = (millimetres >= 0) & (millimetres <= 65535)
    return np.where(fits, millimetres, 0).astype(np.uint16)


def _check_sizes(left: np.ndarray, right: np.ndarray, camera: StereoCamera) -> None:
    expected = (camera.height, camera.width, 3)
    for name, image in (("left", left), ("right", right)):
        if image.shape != expected:
            raise FrameError(
                f"{name} image is {' x '.join(map(str, image.shape[1::-1] + image.shape[2:]))} but "
                f"camera_info says {camera.width} x {camera.height} (x 3 channels); the driver "
                "must publish the camera_info of the resolution it sends"
            )


def _extended(image: np.ndarray, left: int, right: int) -> np.ndarray:
    if left == right == 0:
        return image
    # Black matches nothing; repeated columns would match each other.
    return cv2.copyMakeBorder(image, 0, 0, left, right, cv2.BORDER_CONSTANT)


def _cloud(depth: np.ndarray, result: StereoResult, stride: int) -> np.ndarray:
    depth = depth[::stride, ::stride]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    # RViz and PCL read the colour as one number 0x00RRGGBB: bytes B, G, R, 0 on little-endian.
    colour = cv2.cvtColor(result.image[::stride, ::stride].copy(), cv2.COLOR_RGB2BGRA)
    packed = np.bitwise_and(colour.view(np.uint32), 0x00FFFFFF).view(np.float32)
    # Merging whole planes is several times faster than filling every fourth number.
    return cv2.merge([*result.camera.planes(depth, stride), packed])


def _free_space(
    depth: np.ndarray, camera: StereoCamera, clearing_range: float, stride: int
) -> np.ndarray:
    too_far = np.isposinf(depth[::stride, ::stride])
    ray_x, ray_y = camera.rays
    rows, columns = np.nonzero(too_far)
    points = np.empty((rows.size, 3), np.float32)
    points[:, 0] = ray_x[0, ::stride][columns]
    points[:, 1] = ray_y[::stride, 0][rows]
    points[:, 2] = 1.0
    return points * np.float32(clearing_range)


@contextmanager
def _timed(seconds: dict[str, float], stage: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
