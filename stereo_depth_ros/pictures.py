"""Images and point clouds as files."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.decoding.compressed import decode
from stereo_depth_ros.decoding.levels import to_rgb
from stereo_depth_ros.decoding.samples import ImageError, Samples
from stereo_depth_ros.errors import InputError


def read_image(path: str | Path) -> np.ndarray:
    """Return an image file as (H, W, 3) uint8 RGB; grey and 16-bit files are converted.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        When the file is missing, is a folder, or is no image of 8 or 16 bits that OpenCV reads.
    """
    return to_rgb([read_samples(path)])[0]


def read_pair(left: str | Path, right: str | Path) -> tuple[np.ndarray, np.ndarray]:
    """Return two image files as `read_image` does, those of 16 bits on one scale.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        As `read_image`.
    """
    left_rgb, right_rgb = to_rgb([read_samples(left), read_samples(right)])
    return left_rgb, right_rgb


def read_samples(path: str | Path) -> Samples:
    """Return an image file as its camera sampled it.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        As `read_image`.
    """
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
