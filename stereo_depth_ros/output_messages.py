"""What the messages of the outputs hold, field by field as the REPs say, without ROS.

A message is a dictionary of its fields, without header; `stereo_depth_ros.ros.messages` makes one
to publish of it, `stereo_depth_ros.recordings.bag_messages` one to write into a bag.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.stereo_match import StereoMatch

DELTA_DISPARITY = 1 / 16
"""Published resolution of disparity in px: SGBM's step, and a fair noise floor of networks."""

_FLOAT32 = 7
"""PointField.FLOAT32."""

Fields = dict[str, Any]
"""Numbers, texts, arrays, and of messages within a message their fields; images and clouds hold
their ``data`` as (N,) uint8."""


@dataclass(frozen=True)
class Topic:
    """Where an output goes: relative ``name``, ``type``, and what fills a message of it.

    ``description`` says what the message holds, for the pages in doc/.
    """

    name: str
    type: str
    fill: Callable[[np.ndarray, StereoMatch], Fields]
    description: str


def fill_image(rows: np.ndarray, encoding: str, width: int) -> Fields:
    """Return the fields of an Image of ``rows`` (H, …), each one image row of ``width`` px."""
    return {
        "height": rows.shape[0],
        "width": width,
        "encoding": encoding,
        "is_bigendian": 0,
        "step": rows.nbytes // rows.shape[0],
        "data": _as_bytes(rows),
    }


def fill_map(values: np.ndarray) -> Fields:
    """Return the fields of an Image.

    (H, W) or (H, W, C) float32 becomes 32FC1 or 32FCC, uint16 16UC1 or 16UCC.
    """
    kind = {np.dtype(np.float32): "32FC", np.dtype(np.uint16): "16UC"}[values.dtype]
    encoding = f"{kind}{1 if values.ndim == 2 else values.shape[2]}"
    return fill_image(values, encoding, values.shape[1])


def fill_camera_info(camera: StereoCamera) -> Fields:
    """Return the camera_info of the left view: rectified, undistorted, at ``camera``'s size."""
    return {
        "width": camera.width,
        "height": camera.height,
        "distortion_model": "plumb_bob",
        "d": np.zeros(5),
        "p": camera.p.ravel(),
        "k": camera.p[:, :3].ravel(),
        "r": np.eye(3).ravel(),
        "binning_x": 0,
        "binning_y": 0,
        "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
    }


def fill_disparity(disparity: np.ndarray, match: StereoMatch) -> Fields:
    """Return the fields of a DisparityImage.

    ``disparity`` is (H, W) float32, principal-point offset removed. Unknown pixels are negative,
    hence below ``min_disparity`` >= 0 and invalid by the message's definition; Z = f * t / d holds
    for all others.
    """
    camera = match.camera
    low, high = _limit_disparity(match)
    return {
        "image": fill_map(disparity),
        "f": camera.fx,
        "t": camera.baseline,
        "valid_window": {
            "x_offset": 0,
            "y_offset": 0,
            "height": camera.height,
            "width": camera.width,
            "do_rectify": False,
        },
        "min_disparity": low,
        "max_disparity": high,
        "delta_d": DELTA_DISPARITY,
    }


def _limit_disparity(match: StereoMatch) -> tuple[float, float]:
    """Least and largest valid disparity in px, from the depth limits and the search range."""
    focal_baseline = match.camera.fx * match.camera.baseline
    low = focal_baseline / match.settings.max_depth
    high = min(focal_baseline / match.settings.min_depth, match.max_disparity)
    return low, max(high, low + DELTA_DISPARITY)


def fill_points(points: np.ndarray) -> Fields:
    """Return (H, W, 4) float32 x y z rgb as an organized cloud of 16-byte points."""
    height, width = points.shape[:2]
    return _fill_cloud(points, height, width, ("x", "y", "z", "rgb"), False)


def fill_free_space(points: np.ndarray) -> Fields:
    """Return (N, 3) float32 x y z, all finite, as an unorganized cloud of 12-byte points."""
    return _fill_cloud(points, 1, points.shape[0], ("x", "y", "z"), True)


def _fill_cloud(
    points: np.ndarray, height: int, width: int, names: tuple[str, ...], is_dense: bool
) -> Fields:
    return {
        "height": height,
        "width": width,
        "fields": [
            {"name": name, "offset": 4 * i, "datatype": _FLOAT32, "count": 1}
            for i, name in enumerate(names)
        ],
        "is_bigendian": False,
        "point_step": 4 * len(names),
        "row_step": 4 * len(names) * width,
        "data": _as_bytes(points),
        "is_dense": is_dense,
    }


def _as_bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint8)


IMAGE = "sensor_msgs/msg/Image"
CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_DISPARITY_IMAGE = "stereo_msgs/msg/DisparityImage"
_POINT_CLOUD = "sensor_msgs/msg/PointCloud2"

TOPICS = {
    Output.DEPTH: Topic(
        "depth/image_rect",
        IMAGE,
        lambda values, match: fill_map(values),
        "32FC1, metres along the optical axis; NaN unknown, +Inf beyond `max_depth`, -Inf nearer "
        "than `min_depth`",
    ),
    Output.DEPTH_MM: Topic(
        "depth/image_rect_mm",
        IMAGE,
        lambda values, match: fill_map(values),
        "16UC1, millimetres; 0 is no measurement",
    ),
    Output.DISPARITY: Topic(
        "disparity",
        _DISPARITY_IMAGE,
        fill_disparity,
        "pixels less the principal-point offset, so Z = f · t / d; unknown is -1, below "
        "`min_disparity`",
    ),
    Output.CONFIDENCE: Topic(
        "confidence/image",
        IMAGE,
        lambda values, match: fill_map(values),
        "32FC1, 0 to 1, 1 is certain; NaN where the depth is unknown",
    ),
    Output.POINTS: Topic(
        "points",
        _POINT_CLOUD,
        lambda values, match: fill_points(values),
        "organized, x y z rgb, 16 bytes a point; NaN where there is no depth",
    ),
    Output.FREE_SPACE: Topic(
        "points/free_space",
        _POINT_CLOUD,
        lambda values, match: fill_free_space(values),
        "x y z, for clearing only: a point at `clearing_range` on every ray whose depth is known "
        "to be beyond `max_depth`",
    ),
}
"""Every output that is published."""

INFO_TOPIC = "depth/camera_info"
"""The camera_info of the depth image."""
