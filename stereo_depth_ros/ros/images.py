"""Image messages to RGB and back."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from stereo_depth_ros.decoding.compressed import decompress, read_compressed_header
from stereo_depth_ros.decoding.encodings import ENCODINGS, pack, unpack
from stereo_depth_ros.decoding.levels import Levels, to_rgb
from stereo_depth_ros.decoding.samples import ImageError, Samples
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.ros.messages import image_message

__all__ = ["ENCODINGS", "decode_pair", "encode", "read_image_size"]

_ENCODING_MAX = 60


def read_image_size(message: Image | CompressedImage, side: str) -> tuple[int, int]:
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
    if isinstance(message, Image):
        return message.width, message.height
    try:
        header = read_compressed_header(bytes(message.data), message.format)
    except ImageError as error:
        raise FrameError(f"{side} image: {error}") from error
    return header.width, header.height


def decode_pair(
    left: Image | CompressedImage,
    right: Image | CompressedImage,
    levels: Levels | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode both images.

    Parameters
    ----------
    left, right
        The messages.
    levels
        Keeps the brightness of 16-bit images steady from pair to pair.

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
        [_read_samples(left, "left"), _read_samples(right, "right")], levels
    )
    return left_rgb, right_rgb


def _read_samples(message: Image | CompressedImage, side: str) -> Samples:
    try:
        if isinstance(message, CompressedImage):
            return decompress(bytes(message.data), message.format)
        if message.encoding not in ENCODINGS:
            return Samples(_convert_with_cv_bridge(message), None)
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


def _convert_with_cv_bridge(message: Image) -> np.ndarray:
    encoding = message.encoding[:_ENCODING_MAX]
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as missing:
        raise ImageError(
            f"encoding '{encoding}' is not supported; supported are {', '.join(ENCODINGS)}, and "
            "with cv_bridge installed all that it converts"
        ) from missing
    try:
        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except CvBridgeError as error:
        raise ImageError(f"cv_bridge cannot convert encoding '{encoding}': {error}") from error


def encode(image: np.ndarray, encoding: str) -> Image:
    """Make a message of an image.

    Parameters
    ----------
    image
        (H, W, 3) uint8 RGB.
    encoding
        One of `ENCODINGS`.

    Returns
    -------
    Image
        Without header.

    Raises
    ------
    ValueError
        For an encoding that is not one of `ENCODINGS`, or an odd width of YUV.
    """
    return image_message(pack(image, encoding), encoding, image.shape[1])
