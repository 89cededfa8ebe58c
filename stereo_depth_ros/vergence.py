"""Cameras that converge: the far field lies below zero, where no engine searches."""

from __future__ import annotations

from math import ceil

import cv2
import numpy as np

from stereo_depth_ros.camera import StereoCamera


def count_columns(camera: StereoCamera) -> int:
    """Count the columns by which views are moved apart before matching.

    Parameters
    ----------
    camera
        Geometry of the pair.

    Returns
    -------
    int
        0 for cameras that do not converge.
    """
    return max(0, ceil(-camera.offset))


def extend_view(image: np.ndarray, left: int, right: int) -> np.ndarray:
    """Return (H, W, 3) ``image`` with as many columns more on either side."""
    if left == right == 0:
        return image
    # Black matches nothing; repeated columns would match each other.
    return cv2.copyMakeBorder(image, 0, 0, left, right, cv2.BORDER_CONSTANT)
