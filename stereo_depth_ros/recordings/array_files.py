"""The files that a folder of results may hold, one a pair and kind.

Sources: KITTI's development kit (disparity * 256 as 16-bit PNG, 0 unknown), and the PFM of
Middlebury (bottom row first, unknown is infinite).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.outputs import to_millimetres
from stereo_depth_ros.pictures import encode_ply
from stereo_depth_ros.stereo_match import StereoMatch

KITTI_SCALE = 256.0
"""Steps a px of the disparity that KITTI keeps."""


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    suffix
        Of its files.
    is_metric
        Whether it takes a calibration.
    encode
        Returns the content of the file of one pair.
    description
        What it holds.
    """

    suffix: str
    is_metric: bool
    encode: Callable[[StereoMatch], bytes]
    description: str


def mask_disparity(match: StereoMatch) -> np.ndarray:
    """Return x_left - x_right, (H, W) float32 px, NaN where it is unknown."""
    return np.where(match.valid, match.disparity, np.float32(np.nan))


def to_kitti(disparity: np.ndarray) -> np.ndarray:
    """Return disparity in px, NaN unknown, as KITTI keeps it: (H, W) uint16, 256 a px, 0 unknown.

    What is known and rounds to 0 is 1; what exceeds 255.99 px is unknown.
    """
    with np.errstate(invalid="ignore"):
        steps = np.rint(disparity * np.float32(KITTI_SCALE))
        is_known = np.isfinite(steps) & (steps <= 65535)
        return np.where(is_known, np.maximum(steps, 1), 0).astype(np.uint16)


def encode_png(values: np.ndarray) -> bytes:
    """Return (H, W) uint16 as a PNG."""
    _, content = cv2.imencode(".png", values)
    return content.tobytes()


def encode_pfm(values: np.ndarray) -> bytes:
    """Return (H, W) float32 as a PFM, NaN as +Inf."""
    header = f"Pf\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode("ascii")
    bottom_up = np.where(np.isnan(values), np.inf, values)[::-1]
    return header + bottom_up.astype("<f4").tobytes()


def _encode_npy(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values)
    return buffer.getvalue()


def _encode_points(match: StereoMatch) -> bytes:
    stride = match.settings.points_stride
    depth = match.depth[::stride, ::stride]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    return encode_ply(match.camera.points(depth, stride), match.image[::stride, ::stride])


KINDS = {
    "depth": Kind(
        ".npy",
        True,
        lambda match: _encode_npy(match.depth),
        "float32 m along the optical axis: NaN unknown, +Inf too far, -Inf too near",
    ),
    "depth_mm": Kind(
        ".png",
        True,
        lambda match: encode_png(to_millimetres(match.depth)),
        "16-bit PNG, mm: 0 unknown or out of limits",
    ),
    "disparity": Kind(
        ".npy",
        False,
        lambda match: _encode_npy(mask_disparity(match)),
        "float32 px, x_left - x_right: NaN unknown",
    ),
    "disparity_kitti": Kind(
        ".png",
        False,
        lambda match: encode_png(to_kitti(mask_disparity(match))),
        "16-bit PNG, 256 a px as KITTI's: 0 unknown",
    ),
    "disparity_pfm": Kind(
        ".pfm",
        False,
        lambda match: encode_pfm(mask_disparity(match)),
        "PFM, px as Middlebury's: infinite unknown",
    ),
    "confidence": Kind(
        ".npy",
        False,
        lambda match: _encode_npy(np.where(match.valid, match.confidence, np.float32(0))),
        "float32, 0 to 1: 0 unknown",
    ),
    "points": Kind(
        ".ply", True, _encode_points, "binary PLY, m in the left optical frame, with colours"
    ),
}
"""What may be written, by the name of its folder."""
