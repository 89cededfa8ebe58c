"""Fill outgoing messages, and read camera_info, field by field as the REPs say."""

from __future__ import annotations

import array

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.camera import StereoCamera

DELTA_DISPARITY = 1 / 16
"""Published resolution of disparity in px: SGBM's step, and a fair noise floor of networks."""


def as_bytes(values: np.ndarray) -> array.array:
    """Return the bytes of a contiguous array in the one type that message setters take unchecked.

    Where rclpy checks fields (Humble always does), bytes or an ndarray are checked element by
    element, which takes a good part of a second for a large cloud.
    """
    data = array.array("B")
    if values.size:
        data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data


def calibration_from(message: CameraInfo, topic: str) -> Calibration:
    """Return the numbers of a camera_info; ``topic`` is what error texts call it."""
    roi = message.roi
    return Calibration(
        width=message.width,
        height=message.height,
        k=np.array(message.k, np.float64).reshape(3, 3),
        p=np.array(message.p, np.float64).reshape(3, 4),
        r=np.array(message.r, np.float64).reshape(3, 3),
        d=tuple(message.d),
        distortion_model=message.distortion_model,
        binning=(message.binning_x, message.binning_y),
        roi=(roi.x_offset, roi.y_offset, roi.width, roi.height),
        source=topic,
    )


def camera_info_message(camera: StereoCamera, header: Header) -> CameraInfo:
    """Return the camera_info of the left view: rectified, undistorted, at ``camera``'s size."""
    message = CameraInfo(header=header, width=camera.width, height=camera.height)
    message.distortion_model = "plumb_bob"
    message.d = [0.0] * 5
    message.p = camera.p.ravel()
    message.k = camera.p[:, :3].ravel()
    message.r = np.eye(3).ravel()
    return message


def image_message(rows: np.ndarray, encoding: str, width: int) -> Image:
    """Return a message without header of ``rows`` (H, …), each one image row of ``width`` px."""
    message = Image()
    message.height, message.width = rows.shape[0], width
    message.encoding = encoding
    message.is_bigendian = 0
    message.step = rows.nbytes // rows.shape[0]
    message.data = as_bytes(rows)
    return message


def map_message(values: np.ndarray, header: Header) -> Image:
    """Return (H, W) or (H, W, C) float32 as 32FC1 or 32FCC, uint16 as 16UC1 or 16UCC."""
    kind = {np.dtype(np.float32): "32FC", np.dtype(np.uint16): "16UC"}[values.dtype]
    encoding = f"{kind}{1 if values.ndim == 2 else values.shape[2]}"
    message = image_message(values, encoding, values.shape[1])
    message.header = header
    return message


def disparity_message(
    disparity: np.ndarray,
    camera: StereoCamera,
    header: Header,
    min_disparity: float,
    max_disparity: float,
) -> DisparityImage:
    """Return (H, W) float32 disparity, principal-point offset removed, as a DisparityImage.

    Unknown pixels are negative, hence below ``min_disparity`` >= 0 and invalid by the message's
    definition; Z = f * t / d holds for all others.
    """
    message = DisparityImage(header=header)
    message.image = map_message(disparity, header)
    message.f = camera.fx
    message.t = camera.baseline
    message.valid_window.x_offset = 0
    message.valid_window.y_offset = 0
    message.valid_window.width = camera.width
    message.valid_window.height = camera.height
    message.valid_window.do_rectify = False
    message.min_disparity = min_disparity
    message.max_disparity = max_disparity
    message.delta_d = DELTA_DISPARITY
    return message


def point_cloud_message(points: np.ndarray, header: Header) -> PointCloud2:
    """Return (H, W, 4) float32 x y z rgb as an organized cloud of 16-byte points."""
    height, width = points.shape[:2]
    return _cloud(points, height, width, ("x", "y", "z", "rgb"), False, header)


def free_space_message(points: np.ndarray, header: Header) -> PointCloud2:
    """Return (N, 3) float32 x y z, all finite, as an unorganized cloud of 12-byte points."""
    return _cloud(points, 1, points.shape[0], ("x", "y", "z"), True, header)


def _cloud(
    points: np.ndarray,
    height: int,
    width: int,
    names: tuple[str, ...],
    is_dense: bool,
    header: Header,
) -> PointCloud2:
    message = PointCloud2(header=header, height=height, width=width)
    message.fields = [
        PointField(name=name, offset=4 * i, datatype=PointField.FLOAT32, count=1)
        for i, name in enumerate(names)
    ]
    message.is_bigendian = False
    message.point_step = 4 * len(names)
    message.row_step = message.point_step * width
    message.is_dense = is_dense
    message.data = as_bytes(points)
    return message
