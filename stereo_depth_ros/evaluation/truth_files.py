"""Read the files in which datasets keep disparities and masks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from zipfile import BadZipFile

import cv2
import numpy as np

from stereo_depth_ros.errors import InputError


class DatasetError(InputError):
    """A folder that does not hold what its layout says; the text names what was looked for."""


def read_pfm(path: Path) -> np.ndarray:
    """Read a one-channel PFM file.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    np.ndarray
        (H, W) float32, infinities as NaN.

    Raises
    ------
    DatasetError
        When the file is no such PFM, or is truncated.
    """
    with path.open("rb") as file:
        header = [file.readline().decode("latin-1").strip() for _ in range(3)]
        data = file.read()
    try:
        if header[0] != "Pf":
            raise ValueError(f"its first line is '{header[0]}', not 'Pf'")
        width, height = map(int, header[1].split())
        order = "<f4" if float(header[2]) < 0 else ">f4"
        values = np.frombuffer(data, order, width * height).reshape(height, width)
    except ValueError as error:
        raise DatasetError(f"{path} is not a readable PFM: {error}") from error
    image = np.flipud(values).astype(np.float32)
    return np.where(np.isfinite(image), image, np.float32(np.nan))


def read_png(path: Path, scale: float | Callable[[int], float]) -> np.ndarray:
    """Read disparity from a grey image.

    Parameters
    ----------
    path
        The file.
    scale
        What the values are divided by, or a function that returns it for the width in px.

    Returns
    -------
    np.ndarray
        (H, W) float32 px, NaN where the image is 0.

    Raises
    ------
    DatasetError
        When the file is no grey image.
    """
    values = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2:
        raise DatasetError(f"{path} is not a readable grey image")
    if callable(scale):
        scale = scale(values.shape[1])
    return np.where(values > 0, values / np.float32(scale), np.float32(np.nan)).astype(np.float32)


def read_known(path: Path, scale: float) -> np.ndarray:
    """Return where `read_png` finds a disparity, (H, W) bool; it says what is raised."""
    return np.isfinite(read_png(path, scale))


def read_magnitude(path: Path) -> np.ndarray:
    """Return the absolute values of `read_pfm`, which says what is raised."""
    return np.abs(read_pfm(path))


def read_array(path: Path, kind: type) -> np.ndarray:
    """Read a .npy file.

    Parameters
    ----------
    path
        The file.
    kind
        The dtype that is wanted.

    Returns
    -------
    np.ndarray
        (H, W) of dtype ``kind``.

    Raises
    ------
    DatasetError
        When the file is no .npy file, or holds anything but one number per pixel.
    """
    try:
        values = np.load(path)
    except (ValueError, EOFError, BadZipFile):  # whose texts are of pickles and of reshaping
        values = None
    if not isinstance(values, np.ndarray):
        raise DatasetError(
            f"{path} is no whole .npy file; it must be what numpy.save writes of an array (H, W) "
            f"of {np.dtype(kind)}"
        )
    if values.ndim != 2 or values.dtype.kind not in "biuf":
        raise DatasetError(
            f"{path} holds {values.dtype} of shape {values.shape}, not one number per pixel, (H, W)"
        )
    return values.astype(kind)


def read_mask(path: Path) -> np.ndarray:
    """Read a mask from a grey image.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    np.ndarray
        (H, W) bool, True where the image is 255.

    Raises
    ------
    DatasetError
        When the file is no image.
    """
    values = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    if values is None:
        raise DatasetError(f"{path} is not a readable mask")
    return values == 255
