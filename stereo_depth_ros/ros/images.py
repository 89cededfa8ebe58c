"""Image messages to arrays and back: every encoding that stereo cameras send."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image

from stereo_depth_ros.pipeline import FrameError
from stereo_depth_ros.ros.messages import image_message

# OpenCV names a Bayer pattern after its second row and column, ROS after its first.
_BAYER = {
    "bayer_rggb8": cv2.COLOR_BayerBG2RGB,
    "bayer_bggr8": cv2.COLOR_BayerRG2RGB,
    "bayer_gbrg8": cv2.COLOR_BayerGR2RGB,
    "bayer_grbg8": cv2.COLOR_BayerGB2RGB,
}
_YUV = {
    "yuv422": cv2.COLOR_YUV2RGB_UYVY,
    "uyvy": cv2.COLOR_YUV2RGB_UYVY,
    "yuv422_yuy2": cv2.COLOR_YUV2RGB_YUY2,
    "yuyv": cv2.COLOR_YUV2RGB_YUY2,
}
# channels, dtype, and the conversion to RGB
_FORMATS: dict[str, tuple[int, str, int | None]] = {
    "rgb8": (3, "u1", None),
    "bgr8": (3, "u1", cv2.COLOR_BGR2RGB),
    "8UC3": (3, "u1", cv2.COLOR_BGR2RGB),
    "rgba8": (4, "u1", cv2.COLOR_RGBA2RGB),
    "bgra8": (4, "u1", cv2.COLOR_BGRA2RGB),
    "mono8": (1, "u1", cv2.COLOR_GRAY2RGB),
    "8UC1": (1, "u1", cv2.COLOR_GRAY2RGB),
    "mono16": (1, "u2", cv2.COLOR_GRAY2RGB),
    "16UC1": (1, "u2", cv2.COLOR_GRAY2RGB),
    **{name: (1, "u1", code) for name, code in _BAYER.items()},
    **{name: (2, "u1", code) for name, code in _YUV.items()},
}

ENCODINGS = tuple(_FORMATS)


def decode_pair(
    left: Image | CompressedImage, right: Image | CompressedImage
) -> tuple[np.ndarray, np.ndarray]:
    """Return both images as (H, W, 3) uint8 RGB, a view of the message where the bytes allow.

    16-bit images of a pair are brought to 8 bits by one common shift that keeps the brightest
    pixel, since cameras fill 10, 12 or 16 of the bits.

    Raises
    ------
    FrameError
        For an unknown encoding, a truncated message or one that does not decompress.
    """
    pair = [_decode(left, "left"), _decode(right, "right")]
    deep = [image for image in pair if image.dtype == np.uint16]
    if deep:
        shift = max(0, max(int(image.max()).bit_length() for image in deep) - 8)
        pair = [
            (image >> shift).astype(np.uint8) if image.dtype == np.uint16 else image
            for image in pair
        ]
    return pair[0], pair[1]


def _decode(message: Image | CompressedImage, side: str) -> np.ndarray:
    if isinstance(message, CompressedImage):
        return _decompress(message, side)
    if message.encoding not in _FORMATS:
        return _with_cv_bridge(message, side)
    channels, dtype, conversion = _FORMATS[message.encoding]
    height, width, step = message.height, message.width, message.step
    row = width * channels * np.dtype(dtype).itemsize
    if height == 0 or width == 0 or step < row or len(message.data) < step * height:
        raise FrameError(
            f"{side} image: {width} x {height} {message.encoding} with step {step} needs "
            f"{max(step, row) * height} bytes but carries {len(message.data)}: the message is "
            "truncated or its fields are wrong; check the camera driver and the transport"
        )
    raw = np.frombuffer(message.data, np.uint8, step * height).reshape(height, step)[:, :row]
    image = raw.reshape(height, width, channels) if dtype == "u1" else _words(raw, message)
    if conversion is None:
        return image
    if width % 2 and message.encoding in _YUV:
        raise FrameError(f"{side} image: {message.encoding} needs an even width, not {width}")
    return cv2.cvtColor(np.ascontiguousarray(image), conversion)


def _words(raw: np.ndarray, message: Image) -> np.ndarray:
    order = ">u2" if message.is_bigendian else "<u2"
    return np.ascontiguousarray(raw).view(order).astype(np.uint16, copy=False)


def _decompress(message: CompressedImage, side: str) -> np.ndarray:
    data = np.frombuffer(message.data, np.uint8)
    image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    if image is None:
        raise FrameError(
            f"{side} image: {len(message.data)} bytes of format '{message.format}' do not "
            "decompress; subscribe to the topic of JPEG or PNG images"
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _with_cv_bridge(message: Image, side: str) -> np.ndarray:
    try:
        from cv_bridge import CvBridge, CvBridgeError
    except ImportError as missing:
        raise FrameError(
            f"{side} image: encoding '{message.encoding}' is not known; known are "
            f"{', '.join(ENCODINGS)}, and with cv_bridge installed all that it converts"
        ) from missing
    try:
        return CvBridge().imgmsg_to_cv2(message, "rgb8")
    except CvBridgeError as error:
        raise FrameError(
            f"{side} image: cv_bridge cannot convert encoding '{message.encoding}': {error}"
        ) from error


def encode(image: np.ndarray, encoding: str) -> Image:
    """Return ``image`` (H, W, 3) uint8 RGB as a message without header.

    Raises
    ------
    ValueError
        For an encoding that is not one of `ENCODINGS`.
    """
    if encoding not in _FORMATS:
        raise ValueError(f"encoding '{encoding}' is not one of {', '.join(ENCODINGS)}")
    height, width = image.shape[:2]
    if width % 2 and encoding in _YUV:
        raise ValueError(f"encoding {encoding} needs an even width, not {width}")
    data: Any
    if encoding == "rgb8":
        data = image
    elif encoding in ("bgr8", "8UC3"):
        data = image[..., ::-1]
    elif encoding in ("rgba8", "bgra8"):
        code = cv2.COLOR_RGB2RGBA if encoding == "rgba8" else cv2.COLOR_RGB2BGRA
        data = cv2.cvtColor(image, code)
    elif encoding in ("mono8", "8UC1"):
        data = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    elif encoding in ("mono16", "16UC1"):
        data = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype("<u2") << 8
    elif encoding in _BAYER:
        data = _mosaic(image, encoding)
    else:
        data = _yuv422(image, encoding)
    data = np.ascontiguousarray(data)
    return image_message(data.reshape(height, -1), encoding, width)


def _mosaic(image: np.ndarray, encoding: str) -> np.ndarray:
    pattern = encoding.removeprefix("bayer_")[:4]
    mosaic = np.empty(image.shape[:2], np.uint8)
    for position, colour in enumerate(pattern):
        y, x = divmod(position, 2)
        mosaic[y::2, x::2] = image[y::2, x::2, "rgb".index(colour)]
    return mosaic


def _yuv422(image: np.ndarray, encoding: str) -> np.ndarray:
    # BT.601 in studio range, as OpenCV reads it back.
    r, g, b = (image[..., c].astype(np.float32) for c in range(3))
    y = 16 + 0.257 * r + 0.504 * g + 0.098 * b
    u = 128 - 0.148 * r - 0.291 * g + 0.439 * b
    v = 128 + 0.439 * r - 0.368 * g - 0.071 * b
    chroma = np.empty_like(y)
    chroma[:, 0::2] = (u[:, 0::2] + u[:, 1::2]) / 2
    chroma[:, 1::2] = (v[:, 0::2] + v[:, 1::2]) / 2
    order = (chroma, y) if _YUV[encoding] == cv2.COLOR_YUV2RGB_UYVY else (y, chroma)
    return np.rint(np.stack(order, axis=-1)).clip(0, 255).astype(np.uint8)
