"""What comes before matching: a pair is checked, compared and rectified, or refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.same_view import Views, compare_views
from stereo_depth_ros.stage_times import time_stage


class FrameError(InputError):
    """A frame that cannot be processed; the text names the cause and the cure."""


@dataclass(frozen=True)
class PreparedPair:
    """A rectified pair, ready to be matched.

    Attributes
    ----------
    left, right
        (H, W, 3) uint8 RGB, rectified.
    camera
        Their geometry.
    views
        What the two show of each other.
    inside
        (H, W) bool, where the raw left image was seen; None for images that came rectified.
    seconds
        Time that each stage took.
    """

    left: np.ndarray
    right: np.ndarray
    camera: StereoCamera
    views: Views
    inside: np.ndarray | None
    seconds: dict[str, float]


def prepare_pair(
    left: np.ndarray,
    right: np.ndarray,
    camera: StereoCamera,
    rectify: tuple[RectificationMap, RectificationMap] | None = None,
    monitor: PairMonitor | None = None,
) -> PreparedPair:
    """Check, compare and rectify a pair.

    Parameters
    ----------
    left, right
        (H, W, 3) uint8 RGB.
    camera
        Geometry of the rectified pair.
    rectify
        The maps of raw images, None for rectified ones.
    monitor
        With one, pairs that can only give wrong depth are refused.

    Returns
    -------
    PreparedPair
        Of the same size.

    Raises
    ------
    FrameError
        When the sizes of images and camera differ, or the monitor refuses the pair.
    """
    _check_shapes(left, right, camera)
    seconds: dict[str, float] = {}
    with time_stage(seconds, "compare"):
        # Before rectification, which makes two different views of one image.
        views = compare_views(left, right)
    if rectify is not None:
        with time_stage(seconds, "rectify"):
            left, right = rectify[0](left), rectify[1](right)
    if monitor is not None:
        if monitor.is_due:
            with time_stage(seconds, "pair check"):
                monitor.check(left, right, camera.offset)
        refusal = monitor.judge(views).refusal
        if refusal is not None:
            raise FrameError(refusal)
    inside = None if rectify is None else rectify[0].inside
    return PreparedPair(left, right, camera, views, inside, seconds)


def check_size(side: str, size: Sequence[int], camera: StereoCamera) -> None:
    """Compare an image's size with what its camera_info says.

    Parameters
    ----------
    side
        "left" or "right", for the text.
    size
        (width, height) of the image in px.
    camera
        Geometry of the pair.

    Raises
    ------
    FrameError
        When they differ.
    """
    if tuple(size) != (camera.width, camera.height):
        cure = "the driver must publish the camera_info of the resolution it sends"
        if camera.size_origin:
            cure = (
                f"that is {camera.size_origin}: if width and height are those of the binned image "
                "already, binning_x and binning_y must be 1"
            )
        raise FrameError(
            f"{side} image is {' x '.join(map(str, size))} but camera_info says {camera.width} x "
            f"{camera.height}; {cure}"
        )


def _check_shapes(left: np.ndarray, right: np.ndarray, camera: StereoCamera) -> None:
    for side, image in (("left", left), ("right", right)):
        check_size(side, image.shape[1::-1], camera)
        if image.shape[2:] != (3,):
            raise FrameError(f"{side} image has the shape {image.shape}; it must be H x W x 3")
