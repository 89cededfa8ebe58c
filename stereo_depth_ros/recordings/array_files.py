"""The files that a folder of results may hold, one a pair and kind.

Sources: KITTI's development kit (disparity * 256 as 16-bit PNG, 0 unknown), and the PFM of
Middlebury (bottom row first, unknown is infinite).
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.atomic_file import write_bytes, write_npy
from stereo_depth_ros.outputs import to_millimetres
from stereo_depth_ros.pictures import write_ply
from stereo_depth_ros.stereo_match import StereoMatch

KITTI_SCALE = 256.0


@dataclass(frozen=True)
class Kind:
    """One kind of file.

    Attributes
    ----------
    suffix
        Of its files.
    is_metric
        Whether it takes a calibration.
    write
        Writes the file of one pair.
    description
        What it holds.
    """

    suffix: str
    is_metric: bool
    write: Callable[[Path, StereoMatch], object]
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


def write_png16(path: Path, values: np.ndarray) -> None:
    """Write (H, W) uint16 as a PNG; see `write_bytes`."""
    _, content = cv2.imencode(".png", values)
    write_bytes(path, content.tobytes())


def write_pfm(path: Path, values: np.ndarray) -> None:
    """Write (H, W) float32 as a PFM, NaN as +Inf; see `write_bytes`."""
    buffer = io.BytesIO()
    buffer.write(f"Pf\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode("ascii"))
    bottom_up = np.where(np.isnan(values), np.inf, values)[::-1]
    buffer.write(bottom_up.astype("<f4").tobytes())
    write_bytes(path, buffer.getvalue())


def _write_points(path: Path, match: StereoMatch) -> None:
    stride = match.settings.points_stride
    depth = match.depth[::stride, ::stride]
    depth = np.where(np.isfinite(depth), depth, np.float32(np.nan))
    write_ply(path, match.camera.points(depth, stride), match.image[::stride, ::stride])


KINDS = {
    "depth": Kind(
        ".npy",
        True,
        lambda path, match: write_npy(path, match.depth),
        "float32 m along the optical axis: NaN unknown, +Inf too far, -Inf too near",
    ),
    "depth_mm": Kind(
        ".png",
        True,
        lambda path, match: write_png16(path, to_millimetres(match.depth)),
        "16-bit PNG, mm: 0 unknown or out of limits",
    ),
    "disparity": Kind(
        ".npy",
        False,
        lambda path, match: write_npy(path, mask_disparity(match)),
        "float32 px, x_left - x_right: NaN unknown",
    ),
    "disparity_kitti": Kind(
        ".png",
        False,
        lambda path, match: write_png16(path, to_kitti(mask_disparity(match))),
        "16-bit PNG, 256 a px as KITTI's: 0 unknown",
    ),
    "disparity_pfm": Kind(
        ".pfm",
        False,
        lambda path, match: write_pfm(path, mask_disparity(match)),
        "PFM, px as Middlebury's: infinite unknown",
    ),
    "confidence": Kind(
        ".npy",
        False,
        lambda path, match: write_npy(path, np.where(match.valid, match.confidence, np.float32(0))),
        "float32, 0 to 1: 0 unknown",
    ),
    "points": Kind(
        ".ply",
        True,
        _write_points,
        "binary PLY, m in the left optical frame, with colours",
    ),
}
"""What may be written, by the name of its folder."""
