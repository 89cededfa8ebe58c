"""Messages of rclpy, from fields that know nothing of ROS."""

from __future__ import annotations

import array
from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, Image, PointField
from std_msgs.msg import Header

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.output_messages import Fields, fill_camera_info, fill_image, fill_map


def as_bytes(values: np.ndarray) -> array.array:
    """Return the bytes of a contiguous array in the one type that message setters take unchecked.

    Where rclpy checks fields (Humble always does), bytes or an ndarray are checked element by
    element, which takes a good part of a second for a large cloud.
    """
    data = array.array("B")
    if values.size:
        data.frombytes(np.ascontiguousarray(values).data.cast("B"))
    return data


def make_message(kind: type, fields: Fields, header: Header | None = None) -> Any:
    """Return a message of ``kind`` with ``fields``; it and those within it have the ``header``."""
    message = kind()
    if header is not None and hasattr(message, "header"):
        message.header = header
    for name, value in fields.items():
        if isinstance(value, dict):
            value = make_message(type(getattr(message, name)), value, header)
        elif isinstance(value, list):
            value = [make_message(PointField, entry) for entry in value]
        elif name == "data":
            value = as_bytes(value)
        setattr(message, name, value)
    return message


def camera_info_message(camera: StereoCamera, header: Header) -> CameraInfo:
    """Return the camera_info of the left view: rectified, undistorted, at ``camera``'s size."""
    return make_message(CameraInfo, fill_camera_info(camera), header)


def image_message(rows: np.ndarray, encoding: str, width: int) -> Image:
    """Return a message without header of ``rows`` (H, …), each one image row of ``width`` px."""
    return make_message(Image, fill_image(rows, encoding, width))


def map_message(values: np.ndarray, header: Header) -> Image:
    """Return (H, W) or (H, W, C) float32 as 32FC1 or 32FCC, uint16 as 16UC1 or 16UCC."""
    return make_message(Image, fill_map(values), header)
