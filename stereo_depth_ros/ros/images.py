"""Image messages of rclpy to RGB and back."""

from __future__ import annotations

import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from stereo_depth_ros import image_messages
from stereo_depth_ros.decoding.encodings import ENCODINGS, pack
from stereo_depth_ros.decoding.levels import Levels
from stereo_depth_ros.decoding.samples import ImageError
from stereo_depth_ros.ros.messages import image_message

__all__ = ["ENCODINGS", "decode_pair", "encode"]


def decode_pair(
    left: Image | CompressedImage,
    right: Image | CompressedImage,
    levels: Levels | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode both images, with cv_bridge what only that converts.

    Parameters, result and errors are those of `stereo_depth_ros.image_messages.decode_pair`.
    """
    return image_messages.decode_pair(left, right, levels, _convert_with_cv_bridge)


def _convert_with_cv_bridge(message: Image) -> np.ndarray:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError:
        return image_messages.refuse_encoding(message)
    try:
        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except CvBridgeError as error:
        encoding = message.encoding[: image_messages.ENCODING_MAX]
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
