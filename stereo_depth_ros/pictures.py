"""Image files, pictures of disparity, depth and confidence for people, and clouds as files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.decoding.compressed import decode
from stereo_depth_ros.decoding.levels import to_rgb
from stereo_depth_ros.decoding.samples import ImageError, Samples
from stereo_depth_ros.errors import InputError


def colour_disparity(
    disparity: np.ndarray,
    known: np.ndarray | None = None,
    limits: Sequence[float] | None = None,
) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB: near is red, far is blue, unknown or not finite is black.

    ``limits`` are the disparities in px of the farthest and nearest colour, by default those of
    the picture itself.
    """
    return _turbo(disparity, known, limits)


def colour_depth(depth: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 RGB of metric depth: near red, far blue, +Inf grey, unknown black."""
    with np.errstate(divide="ignore", invalid="ignore"):
        picture = _turbo(np.where(np.isfinite(depth), 1.0 / depth, np.nan))
    picture[np.isposinf(depth)] = 96
    picture[np.isneginf(depth)] = 255
    return picture


def colour_confidence(confidence: np.ndarray) -> np.ndarray:
    """Return (H, W, 3) uint8 grey: white is certain, black is unknown."""
    grey = np.rint(np.clip(np.nan_to_num(confidence), 0, 1) * 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def _turbo(
    values: np.ndarray,
    known: np.ndarray | None = None,
    limits: Sequence[float] | None = None,
) -> np.ndarray:
    known = np.isfinite(values) if known is None else known & np.isfinite(values)
    if not known.any():
        return np.zeros((*values.shape, 3), np.uint8)
    low, high = np.percentile(values[known], (1, 99)) if limits is None else limits
    scaled = (np.where(known, values, low) - low) / max(high - low, 1e-6)
    picture = cv2.applyColorMap(
        np.rint(np.clip(scaled, 0, 1) * 255).astype(np.uint8), cv2.COLORMAP_TURBO
    )[..., ::-1].copy()
    picture[~known] = 0
    return picture


def read_image(path: str | Path) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8 RGB; grey and 16-bit files are converted.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        When the file is missing, is a folder, or is no image of 8 or 16 bits that OpenCV reads.
    """
    return to_rgb([_read_samples(path)])[0]


def read_pair(left: str | Path, right: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return two image files as `read_image` does, those of 16 bits on one scale.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        As `read_image`.
    """
    left_rgb, right_rgb = to_rgb([_read_samples(left), _read_samples(right)])
    return left_rgb, right_rgb


def _read_samples(path: str | Path) -> Samples:
    if Path(path).is_dir():
        raise IsADirectoryError(f"{path} is a folder; name an image in it")
    if not Path(path).is_file():
        raise FileNotFoundError(f"image {path} does not exist")
    try:
        return decode(Path(path).read_bytes())
    except ImageError as error:
        raise InputError(
            f"{path} is not an image that can be read (PNG, JPEG, PPM, …): {error}"
        ) from error


def write_image(path: Path, image: np.ndarray) -> None:
    """Write an RGB (H, W, 3) uint8 image; the suffix of ``path`` decides the format.

    Raises
    ------
    InputError, OSError
        For a suffix of no image format, or a file that cannot be written.
    """
    if not cv2.haveImageWriter(str(path)):
        raise InputError(f"{path} cannot be written; end its name in .png or .jpg")
    _, content = cv2.imencode(Path(path).suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    write_bytes(path, content.tobytes())


def write_ply(path: Path, points: np.ndarray, colours: np.ndarray) -> int:
    """Write ``points`` (…, 3) float32 m with ``colours`` (…, 3) uint8 RGB as binary PLY.

    Points that are not finite are left out; returns how many were written.
    """
    flat, paint = points.reshape(-1, 3), colours.reshape(-1, 3)
    finite = np.isfinite(flat).all(axis=1)
    vertices = np.empty(
        int(finite.sum()),
        [(n, "<f4") for n in ("x", "y", "z")] + [(n, "u1") for n in ("red", "green", "blue")],
    )
    for axis, name in enumerate(("x", "y", "z")):
        vertices[name] = flat[finite, axis]
    for channel, name in enumerate(("red", "green", "blue")):
        vertices[name] = paint[finite, channel]
    header = [
        "ply",
        "format binary_little_endian 1.0",
        "comment metres, optical frame of the left camera: x right, y down, z forward",
        f"element vertex {len(vertices)}",
        *(f"property float {n}" for n in ("x", "y", "z")),
        *(f"property uchar {n}" for n in ("red", "green", "blue")),
        "end_header",
    ]
    write_bytes(path, ("\n".join(header) + "\n").encode("ascii") + vertices.tobytes())
    return len(vertices)
