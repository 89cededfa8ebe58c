"""From two camera_info messages to the geometry of the pair, computed when they change."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from sensor_msgs.msg import CameraInfo

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.frame_check import check_size
from stereo_depth_ros.rectification import RectificationMap, rectification_map
from stereo_depth_ros.ros.messages import calibration_from

Maps = tuple[RectificationMap, RectificationMap]
Sizes = tuple[tuple[int, int], tuple[int, int]]


class PairGeometry:
    """Keeps the `StereoCamera` and, for raw images, the rectification maps of the newest infos.

    ``topics`` are the two camera_info topics, for error texts. ``rectify`` is "auto", "always"
    or "never"; ``raw`` says whether the image topics are raw, which is what auto goes by.
    ``tf_baseline`` looks up the distance between two frames in metres, None where unknown.
    """

    def __init__(
        self,
        topics: tuple[str, str],
        baseline: float,
        rectify: str,
        raw: bool,
        tf_baseline: Callable[[str, str], float | None],
    ) -> None:
        self._topics = topics
        self._baseline = baseline
        self._rectify = rectify
        self._raw = raw
        self._tf_baseline = tf_baseline
        self._key: object = None
        self._value: tuple[StereoCamera, Maps | None] | None = None

    @property
    def rectification(self) -> str:
        """What is done to the images, and the cure where that is wrong."""
        if self._value is None or self._value[1] is None:
            return "none: the images are taken for rectified"
        if self._rectify == "always":
            return "by this node, as rectify is always"
        return (
            "by this node, as an image topic has no word 'rect' in its name and D or R of "
            "camera_info asks for it; if the images are rectified already, set rectify:=never"
        )

    def get(
        self, left: CameraInfo | None, right: CameraInfo | None, sizes: Sizes | None = None
    ) -> tuple[StereoCamera, Maps | None]:
        """Return the geometry, and the maps where images must be rectified.

        ``sizes``, (width, height) of the left and the right image, are compared before any map is
        made, which takes memory in proportion to what camera_info says.

        Raises
        ------
        CalibrationError
            When one is missing, or the two do not describe a calibrated pair.
        FrameError
            When the images have another size.
        """
        if left is None or right is None:
            topic = self._topics[0 if left is None else 1]
            raise CalibrationError(
                f"images arrive but {topic} does not; publish it with the images, or once and "
                "latched"
            )
        key = (_extract_numbers(left), _extract_numbers(right))
        if self._value is None or key != self._key:
            self._value = None
            self._value = self._compute(left, right, sizes)
            self._key = key
        _check_sizes(sizes, self._value[0])
        return self._value

    @property
    def camera(self) -> StereoCamera | None:
        """The geometry last computed."""
        return self._value[0] if self._value else None

    def _compute(
        self, left: CameraInfo, right: CameraInfo, sizes: Sizes | None
    ) -> tuple[StereoCamera, Maps | None]:
        pair = calibration_from(left, self._topics[0]), calibration_from(right, self._topics[1])
        camera = StereoCamera.from_calibrations(
            *pair,
            baseline=self._baseline,
            tf_baseline=partial(self._tf_baseline, left.header.frame_id, right.header.frame_id),
        )
        maps = None
        if self._must_rectify(pair):
            _check_sizes(sizes, camera)
            maps = (rectification_map(pair[0]), rectification_map(pair[1]))
        return camera, maps

    def _must_rectify(self, pair: tuple[Calibration, Calibration]) -> bool:
        if self._rectify == "auto":
            return self._raw and not all(calibration.is_rectified for calibration in pair)
        return self._rectify == "always"


def _check_sizes(sizes: Sizes | None, camera: StereoCamera) -> None:
    if sizes is not None:
        check_size("left", sizes[0], camera)
        check_size("right", sizes[1], camera)


def _extract_numbers(info: CameraInfo) -> tuple[object, ...]:
    roi = info.roi
    return (
        info.width,
        info.height,
        tuple(info.k),
        tuple(info.p),
        tuple(info.r),
        tuple(info.d),
        info.distortion_model,
        info.binning_x,
        info.binning_y,
        (roi.x_offset, roi.y_offset, roi.width, roi.height),
    )
