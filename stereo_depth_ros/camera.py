"""The geometry of a rectified stereo pair: disparity, depth and points, at any image size.

Conventions, stated once for the whole package: images are rectified, so P and not K describes them;
the frame is the left camera's optical frame (REP 103: x right, y down, z forward), lengths are
metres, image lengths pixels, and pixel centres lie on whole numbers, so that an image scaled by s
has its principal point at ``(cx + 0.5) * s - 0.5``. Disparity is ``x_left - x_right`` as matched;
depth is ``f * B / (disparity - (cx_left - cx_right))``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from stereo_depth_ros.baseline import resolve_baseline
from stereo_depth_ros.calibrated_pair import check_calibrations
from stereo_depth_ros.calibration import Calibration, scale_centre


@dataclass(frozen=True)
class StereoCamera:
    """A rectified pair: focal lengths and principal points in px, baseline in m, left view.

    ``warnings`` are findings about the calibration that do not prevent depth but deserve a log
    line, such as a baseline of the wrong sign. ``size_origin`` says how the image size came about
    where camera_info states a binning or a ROI.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    cx_right: float
    baseline: float
    warnings: tuple[str, ...] = ()
    size_origin: str = ""

    @classmethod
    def from_calibrations(
        cls,
        left: Calibration,
        right: Calibration,
        baseline: float = 0.0,
        tf_baseline: Callable[[], float | None] | None = None,
        option: str = "parameter 'baseline'",
    ) -> StereoCamera:
        """Build the geometry of the images that the two cameras send.

        The baseline comes from P[3] of the right camera; where that gives none from ``baseline``
        (metres, 0 = unset), which error texts call ``option``; where that is unset ``tf_baseline``
        is asked (metres, None = unknown).

        Raises
        ------
        CalibrationError
            Numbers that are no calibration, views that are no horizontal pair or that are swapped,
            and a baseline that is unknown or not in metres.
        """
        warnings = check_calibrations(left, right)
        length, more = resolve_baseline(left, right, baseline, tf_baseline, option)
        (fx, fy, cx, cy), (_, _, cx_right, _) = left.sent, right.sent
        width, height = left.image_size
        return cls(
            width,
            height,
            fx,
            fy,
            cx,
            cy,
            cx_right,
            length,
            (*warnings, *more),
            _describe_size(left),
        )

    @classmethod
    def without_calibration(cls, width: int, height: int) -> StereoCamera:
        """Return a camera of focal length 1 px and baseline 1 m, for disparity without depth."""
        return cls(width, height, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def offset(self) -> float:
        """cx_left - cx_right in px: the disparity of a point at infinity."""
        return self.cx - self.cx_right

    @property
    def p(self) -> np.ndarray:
        """Projection matrix of the left view, (3, 4) float64, for a CameraInfo."""
        return np.array(
            [[self.fx, 0, self.cx, 0], [0, self.fy, self.cy, 0], [0, 0, 1, 0]], np.float64
        )

    def resize(self, width: int, height: int) -> StereoCamera:
        """Return the geometry of both images resampled to ``width`` x ``height`` px."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=scale_centre(self.cx, sx),
            cy=scale_centre(self.cy, sy),
            cx_right=scale_centre(self.cx_right, sx),
        )

    def crop(self, x: int, y: int, width: int, height: int) -> StereoCamera:
        """Return the geometry of the window at (x, y) of both images, in px.

        Negative offsets or sizes beyond the image describe padding.
        """
        return replace(
            self,
            width=width,
            height=height,
            cx=self.cx - x,
            cy=self.cy - y,
            cx_right=self.cx_right - x,
        )

    def depth(self, disparity: np.ndarray) -> np.ndarray:
        """Return depth along Z in metres, float32, for matched ``disparity`` in px.

        +Inf where the disparity is that of infinity or less; NaN stays NaN.
        """
        parallax = np.subtract(disparity, np.float32(self.offset), dtype=np.float32)
        np.maximum(parallax, 0.0, out=parallax)
        with np.errstate(divide="ignore"):
            return np.divide(np.float32(self.fx * self.baseline), parallax, out=parallax)

    def disparity(self, depth: np.ndarray | float) -> np.ndarray:
        """Return the matched disparity in px, float32, of points at ``depth`` metres along Z."""
        with np.errstate(divide="ignore"):
            return np.float32(self.fx * self.baseline) / np.asarray(depth, np.float32) + np.float32(
                self.offset
            )

    @cached_property
    def rays(self) -> tuple[np.ndarray, np.ndarray]:
        """x/z of every column, (1, W), and y/z of every row, (H, 1), float32."""
        x = (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx
        y = (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy
        return x.astype(np.float32)[None, :], y.astype(np.float32)[:, None]

    def planes(
        self, depth: np.ndarray, stride: int = 1
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return x, y, z, (h, w) float32 m in the left optical frame, for ``depth`` (h, w) m.

        ``depth`` holds every ``stride``-th row and column of the image.
        """
        ray_x, ray_y = self.rays
        # The ray along the axis has x = 0, and 0 * Inf is NaN, as it should be.
        with np.errstate(invalid="ignore"):
            return depth * ray_x[:, ::stride], depth * ray_y[::stride], depth

    def points(self, depth: np.ndarray, stride: int = 1) -> np.ndarray:
        """Return `planes` as one (h, w, 3) array."""
        return np.stack(self.planes(depth, stride), axis=-1)


def _describe_size(calibration: Calibration) -> str:
    if calibration.bins == (1, 1):
        return ""
    _, _, width, height = calibration.window
    bx, by = calibration.bins
    return f"{width} x {height} over a binning of {bx} x {by}"
