"""Images as ROS sends them to RGB, whoever read the messages.

A message is whatever has the fields of ``sensor_msgs/Image`` or ``sensor_msgs/CompressedImage``,
come it over DDS or from a bag.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from stereo_depth_ros.decoding.compressed import decompress, read_compressed_header
from stereo_depth_ros.decoding.encodings import ENCODINGS, unpack
from stereo_depth_ros.decoding.levels import Levels, to_rgb
from stereo_depth_ros.decoding.samples import ImageError, Samples
from stereo_depth_ros.frame_check import FrameError

ENCODING_MAX = 60
"""Characters of an encoding that error texts repeat."""


def read_image_size(message: Any, side: str) -> tuple[int, int]:
    """Read the size of an image that is not decoded yet.

    Parameters
    ----------
    message
        The image.
    side
        "left" or "right", for error texts.

    Returns
    -------
    tuple of int
        Width and height in px.

    Raises
    ------
    FrameError
        For a compressed image that does not state its size.
    """
    if not is_compressed(message):
        return message.width, message.height
    try:
        header = read_compressed_header(bytes(message.data), message.format)
    except ImageError as error:
        raise FrameError(f"{side} image: {error}") from error
    return header.width, header.height


def is_compressed(message: Any) -> bool:
    """Whether ``message`` is a CompressedImage."""
    return hasattr(message, "format")


def refuse_encoding(message: Any) -> np.ndarray:
    """Raise that nothing converts the encoding of ``message``.

    Raises
    ------
    ImageError
        Always.
    """
    raise ImageError(
        f"encoding '{message.encoding[:ENCODING_MAX]}' is not supported; supported are "
        f"{', '.join(ENCODINGS)}, and in the node with cv_bridge installed all that it converts"
    )


def decode_pair(
    left: Any,
    right: Any,
    levels: Levels | None = None,
    convert: Callable[[Any], np.ndarray] = refuse_encoding,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode both images.

    Parameters
    ----------
    left, right
        The messages.
    levels
        Keeps the brightness of 16-bit images steady from pair to pair.
    convert
        Returns a message of an encoding that is not known here as (H, W, 3) uint8 RGB.

    Returns
    -------
    tuple of np.ndarray
        Left and right, (H, W, 3) uint8 RGB, views of the messages where the bytes allow.

    Raises
    ------
    FrameError
        For an unknown encoding, a truncated message or one that does not decompress.
    """
    left_rgb, right_rgb = to_rgb(
        [_read_samples(left, "left", convert), _read_samples(right, "right", convert)], levels
    )
    return left_rgb, right_rgb


def _read_samples(message: Any, side: str, convert: Callable[[Any], np.ndarray]) -> Samples:
    try:
        if is_compressed(message):
            return decompress(bytes(message.data), message.format)
        if message.encoding not in ENCODINGS:
            return Samples(convert(message), None)
        return unpack(
            message.data,
            message.height,
            message.width,
            message.step,
            message.encoding,
            bool(message.is_bigendian),
        )
    except ImageError as error:
        raise FrameError(f"{side} image: {error}") from error
