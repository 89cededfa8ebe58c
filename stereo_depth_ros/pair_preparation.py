"""What comes before matching: a pair is checked, compared and rectified, or refused."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.frame_check import FrameError, check_shapes
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.same_view import Views, compare_views
from stereo_depth_ros.stage_times import time_stage


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
    check_shapes(left, right, camera)
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
