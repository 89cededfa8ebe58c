"""From lenses and the pose between them to the rectification of a pair."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.calibration_files.document import Pair, Size

_MODELS = {
    "none": "plumb_bob",
    "radtan": "plumb_bob",
    "radial-tangential": "plumb_bob",
    "plumb_bob": "plumb_bob",
    "equidistant": "equidistant",
}


@dataclass(frozen=True)
class Lens:
    """One raw camera: (width, height), K (3, 3) in px, coefficients D and their model."""

    size: Size
    k: np.ndarray
    d: tuple[float, ...]
    model: str
    source: str

    @classmethod
    def of(
        cls, size: Size, intrinsics: list[float], d: list[float], model: str, source: str
    ) -> Lens:
        """Return the lens of ``intrinsics`` fx, fy, cx, cy.

        Raises
        ------
        ValueError
            For a distortion model that is not known.
        """
        if model not in _MODELS:
            raise ValueError(f"distortion model {model[:40]!r}; known are {', '.join(_MODELS)}")
        fx, fy, cx, cy = intrinsics
        k = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]], np.float64)
        return cls(size, k, tuple(d), _MODELS[model], source)


def plan_rectification(
    left: Lens, right: Lens, rotation: np.ndarray, translation: np.ndarray
) -> Pair:
    """Return calibrations whose R and P rectify the images of two lenses.

    ``rotation`` (3, 3) and ``translation`` (3,), in metres, take points from the left camera's
    frame to the right one's.

    Raises
    ------
    ValueError
        When the lenses differ in size or model, ``rotation`` is none, or the right camera lies to
        the left.
    """
    if left.size != right.size or left.model != right.model:
        raise ValueError(
            f"the cameras differ: {left.size[0]} x {left.size[1]} {left.model} and "
            f"{right.size[0]} x {right.size[1]} {right.model}"
        )
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=1e-3):
        raise ValueError("the rotation between the cameras is no rotation")
    position = -rotation.T @ translation
    if position[0] < 0 and abs(position[0]) > abs(position[1]):
        raise ValueError(
            f"the right camera lies {-position[0]:g} m to the left of the left one; exchange them"
        )
    solve = _solve_fisheye if left.model == "equidistant" else _solve_pinhole
    r_left, r_right, p_left, p_right = solve(left, right, rotation, translation)
    return _make_calibration(left, r_left, p_left), _make_calibration(right, r_right, p_right)


def _make_calibration(lens: Lens, r: np.ndarray, p: np.ndarray) -> Calibration:
    return Calibration(
        *lens.size, lens.k, p, r, lens.d, lens.model, source=lens.source, is_raw=True
    )


def _solve_pinhole(
    left: Lens, right: Lens, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, ...]:
    return cv2.stereoRectify(
        left.k,
        np.array(left.d),
        right.k,
        np.array(right.d),
        left.size,
        rotation,
        translation.reshape(3, 1),
        flags=cv2.CALIB_ZERO_DISPARITY,
        alpha=0,
    )[:4]


def _solve_fisheye(
    left: Lens, right: Lens, rotation: np.ndarray, translation: np.ndarray
) -> tuple[np.ndarray, ...]:
    # The rotations do not depend on the lenses; the focal length that cv2.fisheye would choose can
    # be next to nothing. That of the lens keeps the resolution of the centre, and shows no border.
    straight = [replace(lens, d=(0.0,) * 4) for lens in (left, right)]
    r_left, r_right, _, p_right = _solve_pinhole(straight[0], straight[1], rotation, translation)
    focal = min(left.k[0, 0], left.k[1, 1], right.k[0, 0], right.k[1, 1])
    width, height = left.size
    # Both optical axes lie around the centre of the view.
    axes = np.array([r[:, 2] / r[2, 2] for r in (r_left, r_right)]).mean(axis=0)
    cx, cy = (width - 1) / 2 - focal * axes[0], (height - 1) / 2 - focal * axes[1]
    p = np.array([[focal, 0, cx, 0], [0, focal, cy, 0], [0, 0, 1, 0]], np.float64)
    shifted = p.copy()
    shifted[:2, 3] = focal * p_right[:2, 3] / p_right[0, 0]
    return r_left, r_right, p, shifted
