"""The encodings that stereo cameras send, by the names ROS gives them."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

from stereo_depth_ros.decoding.samples import ImageError, Samples

# OpenCV names a Bayer pattern after its second row and column, ROS after its first.
_PATTERNS = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
BAYER = {f"bayer_{p}{bits}": code for bits in (8, 16) for p, code in _PATTERNS.items()}
"""The conversion to RGB of every mosaic."""

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
    "rgb16": (3, "u2", None),
    "bgr16": (3, "u2", cv2.COLOR_BGR2RGB),
    **{name: (1, "u2" if name.endswith("16") else "u1", code) for name, code in BAYER.items()},
    **{name: (2, "u1", code) for name, code in _YUV.items()},
}

ENCODINGS = tuple(_FORMATS)


def unpack(
    data: Any, height: int, width: int, step: int, encoding: str, is_bigendian: bool
) -> Samples:
    """Return the samples in ``data``, rows of ``step`` bytes; a view where the bytes allow.

    Raises
    ------
    ImageError
        For data or a step too small for the size, or an odd width of YUV.
    KeyError
        For an encoding that is not one of `ENCODINGS`.
    """
    channels, dtype, conversion = _FORMATS[encoding]
    row = width * channels * np.dtype(dtype).itemsize
    if step < row:
        raise ImageError(
            f"step is {step}, below the {row} bytes of a row of {width} {encoding} pixels; the "
            "camera driver must set step to the bytes from row to row"
        )
    if height == 0 or width == 0 or len(data) < step * height:
        raise ImageError(
            f"{width} x {height} {encoding} with step {step} needs {step * height} bytes "
            f"but carries {len(data)}: the message is truncated or its fields are wrong; check the "
            "camera driver and the transport"
        )
    if width % 2 and encoding in _YUV:
        raise ImageError(f"{encoding} needs an even width, not {width}")
    values = np.frombuffer(data, np.uint8, step * height).reshape(height, step)[:, :row]
    if dtype == "u2":
        order = ">u2" if is_bigendian else "<u2"
        values = np.ascontiguousarray(values).view(order).astype(np.uint16, copy=False)
    if channels > 1:
        values = values.reshape(height, width, channels)
    return Samples(values, conversion)


def pack(image: np.ndarray, encoding: str) -> np.ndarray:
    """Return ``image`` (H, W, 3) uint8 RGB in ``encoding``, (H, …), one image row each.

    Raises
    ------
    ValueError
        For an encoding that is not one of `ENCODINGS`, or an odd width of YUV.
    """
    if encoding not in _FORMATS:
        raise ValueError(f"encoding '{encoding}' is not one of {', '.join(ENCODINGS)}")
    height, width = image.shape[:2]
    if width % 2 and encoding in _YUV:
        raise ValueError(f"encoding {encoding} needs an even width, not {width}")
    data = _reorder_packed(image, encoding)
    if _FORMATS[encoding][1] == "u2":
        data = data.astype("<u2") << 8
    return np.ascontiguousarray(data).reshape(height, -1)


def _reorder_packed(image: np.ndarray, encoding: str) -> np.ndarray:
    if encoding in ("rgb8", "rgb16"):
        return image
    if encoding in ("bgr8", "8UC3", "bgr16"):
        return image[..., ::-1]
    if encoding in ("rgba8", "bgra8"):
        code = cv2.COLOR_RGB2RGBA if encoding == "rgba8" else cv2.COLOR_RGB2BGRA
        return cv2.cvtColor(image, code)
    if encoding in BAYER:
        return _mosaic(image, encoding)
    if encoding in _YUV:
        return _yuv422(image, encoding)
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


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
