"""Rectification of raw image pairs, and a health check of pairs that claim to be rectified."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from stereo_depth_ros.calibration import Calibration, CalibrationError

_PINHOLE_MODELS = ("plumb_bob", "rational_polynomial", "")
_FISHEYE_MODELS = ("equidistant", "fisheye")


@dataclass(frozen=True)
class RectificationMap:
    """A look-up from rectified to raw pixels; call it with an image (H, W) or (H, W, 3)."""

    coordinates: np.ndarray
    weights: np.ndarray

    @cached_property
    def inside(self) -> np.ndarray:
        """Whether each rectified pixel shows the raw image, (H, W) bool."""
        height, width = self.coordinates.shape[:2]
        return self(np.full((height, width), 255, np.uint8)) == 255

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """Return ``image`` rectified, same shape and dtype; black beyond the raw image."""
        return cv2.remap(image, self.coordinates, self.weights, cv2.INTER_LINEAR)


def rectification_map(
    calibration: Calibration, otherwise: str = "set rectify to never"
) -> RectificationMap:
    """Return the map of one camera, at the size of the images it sends.

    Models ``plumb_bob``, ``rational_polynomial`` and ``equidistant``; ROI and binning are honoured.
    ``otherwise`` is what error texts say for images that are rectified already.

    Raises
    ------
    CalibrationError
        For an uncalibrated camera, another distortion model or the wrong number of coefficients.
    """
    calibration.checked()
    _check_raw_numbers(calibration, otherwise)
    size = calibration.image_size
    k = _windowed(calibration.k, calibration)
    p = _windowed(calibration.p[:, :3], calibration)
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


def _windowed(matrix: np.ndarray, calibration: Calibration) -> np.ndarray:
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


@dataclass(frozen=True)
class VerticalDisparity:
    """Row mismatch of a pair in px over ``matches`` points.

    ``median`` is y_right - y_left, positive where the right image lies lower.
    """

    rms: float
    median: float
    matches: int


def vertical_disparity(
    left: np.ndarray, right: np.ndarray, disparity: np.ndarray, max_matches: int = 200
) -> VerticalDisparity | None:
    """Measure how far corresponding points lie from a common row.

    Corners of ``left`` (H, W, 3) uint8 are tracked into ``right`` (same) from where the matched
    ``disparity`` (float32, px of its own size, which may be another) predicts them; a track must
    lead back to its start. Returns None where fewer than 20 survive, as on blank walls.
    """
    height, width = left.shape[:2]
    if disparity.shape != (height, width):
        scale = np.float32(width / disparity.shape[1])
        disparity = scale * cv2.resize(
            disparity, (width, height), interpolation=cv2.INTER_NEAREST_EXACT
        )
    grey_left = cv2.cvtColor(left, cv2.COLOR_RGB2GRAY)
    grey_right = cv2.cvtColor(right, cv2.COLOR_RGB2GRAY)
    corners = cv2.goodFeaturesToTrack(grey_left, max_matches, 0.02, 12)
    if corners is None:
        return None
    start = corners.reshape(-1, 2).astype(np.float32)
    columns, rows = np.rint(start).astype(int).T
    predicted = start.copy()
    predicted[:, 0] -= disparity[rows, columns]
    usable = np.isfinite(predicted[:, 0]) & (predicted[:, 0] >= 0)
    start, predicted = start[usable], predicted[usable]
    if len(start) < 20:
        return None
    lk = {"winSize": (15, 15), "maxLevel": 2, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    found, ok, _ = cv2.calcOpticalFlowPyrLK(grey_left, grey_right, start, predicted.copy(), **lk)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(grey_right, grey_left, found, start.copy(), **lk)
    good = (ok & ok_back).ravel().astype(bool) & (np.abs(back - start).max(axis=1) < 0.5)
    if good.sum() < 20:
        return None
    dy = (found - start)[good, 1]
    # A few wrong tracks would dominate a mean square, so only the central nine tenths count.
    centre = float(np.median(dy))
    kept = dy[np.abs(dy - centre) <= np.quantile(np.abs(dy - centre), 0.9)]
    return VerticalDisparity(float(np.sqrt(np.mean(kept**2))), centre, int(good.sum()))
