"""The two images of a pair, whatever form they come in, as RGB."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np

from stereo_depth_ros.decoding.levels import to_rgb
from stereo_depth_ros.decoding.samples import ImageError, Samples
from stereo_depth_ros.pictures import read_samples


def load_pair(left: Any, right: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return a pair as (H, W, 3) uint8 RGB, images of 16 bits on one scale.

    Parameters
    ----------
    left, right
        The path of an image file, an array (H, W) grey or (H, W, 3) RGB, uint8 or uint16, or what
        turns into such an array, as the images of Pillow do.

    Raises
    ------
    FileNotFoundError, IsADirectoryError, InputError
        For what is no image, and for images of different size.
    """
    left_rgb, right_rgb = to_rgb([_sample("left", left), _sample("right", right)])
    if left_rgb.shape != right_rgb.shape:
        raise ImageError(
            f"{_name('left', left)} is {left_rgb.shape[1]} x {left_rgb.shape[0]} and "
            f"{_name('right', right)} {right_rgb.shape[1]} x {right_rgb.shape[0]}: a rectified "
            "pair has one size"
        )
    return left_rgb, right_rgb


def _sample(side: str, image: Any) -> Samples:
    if isinstance(image, (str, os.PathLike)):
        return read_samples(os.fspath(image))
    if getattr(image, "mode", "") == "P":
        raise ImageError(f"the {side} image holds a palette; give its convert('RGB')")
    values = np.asarray(image)
    is_image = values.shape[2:] in ((), (3,)) and values.ndim >= 2 and values.size > 0
    if values.dtype not in (np.uint8, np.uint16) or not is_image:
        shape = " x ".join(map(str, values.shape)) or "no array"
        raise ImageError(
            f"the {side} image is {shape} of {values.dtype}; give H x W (grey) or H x W x 3 (RGB) "
            "of uint8 or uint16, or the path of a file"
        )
    conversion = cv2.COLOR_GRAY2RGB if values.ndim == 2 else None
    return Samples(np.ascontiguousarray(values), conversion)


def _name(side: str, image: Any) -> str:
    return str(image) if isinstance(image, (str, os.PathLike)) else f"the {side} image"
