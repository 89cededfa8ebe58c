"""The geometry of one pair of images, from whatever its user knows of the cameras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Union

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.rectification import RectificationMap, check_lenses, rectification_map


@dataclass(frozen=True)
class PairGeometry:
    """Where the cameras of a pair stand.

    Attributes
    ----------
    camera
        Of the rectified images.
    rectify
        The maps of raw images, None for images that are rectified.
    is_metric
        Whether lengths are known; without them there is disparity alone.
    is_in_doubt
        Whether the calibration holds distortion that nobody asked to undo.
    """

    camera: StereoCamera
    rectify: tuple[RectificationMap, RectificationMap] | None = None
    is_metric: bool = True
    is_in_doubt: bool = False


CalibrationLike = Union[
    PairGeometry, StereoCamera, Sequence[Calibration], str, "os.PathLike[str]", None
]


def find_geometry(
    calibration: CalibrationLike,
    width: int,
    height: int,
    focal_px: float = 0.0,
    baseline_m: float = 0.0,
    rectify: bool = False,
    options: tuple[str, str] = ("baseline_m", "rectify"),
) -> PairGeometry:
    """Return the geometry of a pair.

    Parameters
    ----------
    calibration
        The path of a file (or two joined by a comma) that `read_calibration` reads, the geometry
        of the rectified pair, the calibrations of the left and the right camera, or None.
    width, height
        Size of the images in px.
    focal_px
        Focal length of rectified images with the principal point in their middle; 0 where
        ``calibration`` states it.
    baseline_m
        Distance between the cameras, where the calibration gives none in metres.
    rectify
        Whether the images are raw, which some files say themselves.
    options
        What error texts call the last two.

    Raises
    ------
    CalibrationError
        For what is no calibration of such images.
    """
    baseline_option, rectify_option = options
    if calibration is None and not focal_px:
        if baseline_m or rectify:
            raise CalibrationError(
                f"{baseline_option} and {rectify_option} give no depth by themselves: a "
                "calibration is needed, or a focal length"
            )
        return PairGeometry(StereoCamera.without_calibration(width, height), is_metric=False)
    if calibration is not None and focal_px:
        raise CalibrationError("both a calibration and focal_px are given; leave out one of them")
    if isinstance(calibration, PairGeometry):
        return calibration
    if focal_px and not baseline_m:
        raise CalibrationError(
            f"focal_px alone gives no depth; set {baseline_option} to the distance between the "
            "cameras in metres"
        )
    if isinstance(calibration, StereoCamera):
        if rectify:
            raise CalibrationError(
                f"{rectify_option} takes K, D and R, which a StereoCamera does not hold; give a "
                "file, or the Calibration of either camera"
            )
        _check_size("the camera", (calibration.width, calibration.height), width, height)
        return PairGeometry(calibration)
    left, right = _find_calibrations(calibration, width, height, focal_px)
    camera = StereoCamera.from_calibrations(
        left, right, baseline=baseline_m, option=baseline_option
    )
    maps = None
    if rectify or left.is_raw:
        if not left.is_raw:
            check_lenses(left, right, rectify_option)
        otherwise = f"leave out {rectify_option}"
        maps = rectification_map(left, otherwise), rectification_map(right, otherwise)
    is_in_doubt = maps is None and not (left.is_rectified and right.is_rectified)
    return PairGeometry(camera, maps, is_in_doubt=is_in_doubt)


def _find_calibrations(
    calibration: Sequence[Calibration] | str | os.PathLike[str] | None,
    width: int,
    height: int,
    focal_px: float,
) -> tuple[Calibration, Calibration]:
    if calibration is None:
        # The baseline comes from its option.
        cx, cy = (width - 1) / 2, (height - 1) / 2
        one = Calibration.pinhole(width, height, focal_px, cx, cy, source="focal_px")
        return one, one
    if isinstance(calibration, (str, os.PathLike)):
        return read_calibration(os.fspath(calibration), width, height)
    match calibration:
        case [Calibration() as left, Calibration() as right]:
            _check_size(left.source, left.image_size, width, height)
            _check_size(right.source, right.image_size, width, height)
            return left, right
    raise CalibrationError(
        f"a calibration of type {type(calibration).__name__} is not known; give the path of a "
        "file, a StereoCamera, or the Calibration of the left and of the right camera"
    )


def _check_size(source: str, size: tuple[int, int], width: int, height: int) -> None:
    if size != (width, height):
        raise CalibrationError(
            f"{source} is for {size[0]} x {size[1]} images, not {width} x {height}; give the "
            "calibration of these images, or resize() it if they show the same view"
        )
