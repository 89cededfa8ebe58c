"""Rectification of raw image pairs."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from stereo_depth_ros.calibration import Calibration, CalibrationError

_PINHOLE_MODELS = ("plumb_bob", "rational_polynomial", "")
_FISHEYE_MODELS = ("equidistant", "fisheye")
_NO_MEMORY = -4
"""OpenCV's StsNoMem, which its Python module does not name in every version."""


@dataclass(frozen=True)
class RectificationMap:
    """A look-up from rectified to raw pixels; call it with an image (H, W) or (H, W, 3).

    Attributes
    ----------
    coordinates
        (H, W, 2) int16, whole px of the raw image.
    weights
        (H, W) uint16, the fractions, as OpenCV packs them.
    """

    coordinates: np.ndarray
    weights: np.ndarray

    @cached_property
    def inside(self) -> np.ndarray:
        """Whether each rectified pixel shows the raw image, (H, W) bool."""
        height, width = self.coordinates.shape[:2]
        return self(np.full((height, width), 255, np.uint8)) == 255

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Rectify an image.

        Parameters
        ----------
        image
            (H, W) or (H, W, 3), raw.

        Returns
        -------
        np.ndarray
            Of the same shape and dtype; black beyond the raw image.
        """
        return cv2.remap(image, self.coordinates, self.weights, cv2.INTER_LINEAR)


def check_lenses(left: Calibration, right: Calibration, option: str) -> None:
    """Check that rectification by two calibrations changes anything.

    Parameters
    ----------
    left, right
        Of the cameras.
    option
        What asks for the rectification, for the text.

    Raises
    ------
    CalibrationError
        Where neither has distortion or rotation.
    """
    if all(one.is_rectified and np.allclose(one.k, one.p[:, :3]) for one in (left, right)):
        sources = " and ".join(dict.fromkeys((left.source, right.source)))
        raise CalibrationError(
            f"{option} has nothing to go by: neither distortion D nor rotation R is in {sources}; "
            f"leave out {option} where the images are rectified, or give the raw cameras' "
            "calibration"
        )


def rectification_map(
    calibration: Calibration, otherwise: str = "set rectify to never"
) -> RectificationMap:
    """Plan the rectification of one camera's images, at the size that it sends.

    Parameters
    ----------
    calibration
        Of model ``plumb_bob``, ``rational_polynomial`` or ``equidistant``; ROI and binning are
        honoured.
    otherwise
        What error texts advise for images that are rectified already.

    Returns
    -------
    RectificationMap
        From pixels of the rectified image to those of the raw one.

    Raises
    ------
    CalibrationError
        For an uncalibrated camera, another distortion model or the wrong number of coefficients.
    """
    calibration.check()
    _check_raw_numbers(calibration, otherwise)
    size = calibration.image_size
    k = _crop_to_window(calibration.k, calibration)
    p = _crop_to_window(calibration.p[:, :3], calibration)
    d = np.asarray(calibration.d, np.float64)
    known = {**dict.fromkeys(_PINHOLE_MODELS, _pinhole), **dict.fromkeys(_FISHEYE_MODELS, _fisheye)}
    if calibration.distortion_model not in known:
        raise CalibrationError(
            f"{calibration.source}: distortion model '{calibration.distortion_model}' is not "
            "known; known are plumb_bob, rational_polynomial and equidistant. Rectify the images "
            f"upstream and {otherwise}"
        )
    try:
        maps = known[calibration.distortion_model](k, d, calibration.r, p, size)
    except cv2.error as error:
        if error.code == _NO_MEMORY:
            raise CalibrationError(
                f"{calibration.source}: no memory for the rectification of {size[0]} x {size[1]} "
                "images; bin them at the driver, or rectify them upstream and set rectify to never"
            ) from error
        raise CalibrationError(
            f"{calibration.source}: {d.size} coefficients D do not fit distortion model "
            f"'{calibration.distortion_model}', or R is no rotation; recalibrate the camera"
        ) from error
    return RectificationMap(*maps)


def _check_raw_numbers(calibration: Calibration, otherwise: str) -> None:
    """Check what rectified images do without."""
    k, r = calibration.k, calibration.r
    if k[0, 0] <= 0 or k[1, 1] <= 0:
        raise CalibrationError(
            f"{calibration.source}: K[0] = {k[0, 0]:g} and K[4] = {k[1, 1]:g}, but raw images "
            f"cannot be rectified without K; fill K, or {otherwise} where the images are rectified "
            "already"
        )
    if not np.allclose(r @ r.T, np.eye(3), atol=1e-2) or np.linalg.det(r) < 0:
        raise CalibrationError(
            f"{calibration.source}: R is no rotation; recalibrate the camera, or {otherwise} "
            "where the images are rectified already"
        )


def _pinhole(k: np.ndarray, d: np.ndarray, r: np.ndarray, p: np.ndarray, size: tuple) -> tuple:
    return cv2.initUndistortRectifyMap(k, d, r, p, size, cv2.CV_16SC2)


def _fisheye(k: np.ndarray, d: np.ndarray, r: np.ndarray, p: np.ndarray, size: tuple) -> tuple:
    # Some drivers send the five places of plumb_bob, the last of them empty.
    coefficients = d[:4] if d.size > 4 and not d[4:].any() else d
    coefficients = coefficients if d.size else np.zeros(4)
    return cv2.fisheye.initUndistortRectifyMap(k, coefficients, r, p, size, cv2.CV_16SC2)


def _crop_to_window(matrix: np.ndarray, calibration: Calibration) -> np.ndarray:
    x, y, _, _ = calibration.window
    bx, by = calibration.bins
    window = np.array(
        [
            [1 / bx, 0, (0.5 - x) / bx - 0.5],
            [0, 1 / by, (0.5 - y) / by - 0.5],
            [0, 0, 1],
        ]
    )
    return window @ matrix
