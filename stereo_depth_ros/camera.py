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
    """The geometry of a rectified pair.

    Attributes
    ----------
    width, height
        Of the images in px.
    fx, fy
        Focal lengths of both views in px.
    cx, cy
        Principal point of the left view in px.
    cx_right
        That of the right view along the row, px.
    baseline
        Distance between the cameras in m.
    warnings
        Findings about the calibration that do not prevent depth but deserve a log line, such as a
        baseline of the wrong sign.
    size_origin
        How the image size came about where camera_info states a binning or a ROI.
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

        Parameters
        ----------
        left, right
            Calibrations of the two cameras.
        baseline
            Distance between them in m, for a P[3] of the right camera that gives none; 0: unset.
        tf_baseline
            Asked where that is unset; returns metres, None where it is unknown.
        option
            What error texts call ``baseline``.

        Returns
        -------
        StereoCamera
            With what was found on the way as its ``warnings``.

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
        """Make a camera for disparity without depth.

        Parameters
        ----------
        width, height
            Of the images in px.

        Returns
        -------
        StereoCamera
            Of focal length 1 px and baseline 1 m.
        """
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
        """Scale to resampled images.

        Parameters
        ----------
        width, height
            Of both resampled images in px.

        Returns
        -------
        StereoCamera
            Of those images.
        """
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
        """Move to a window of both images; beyond the image it describes padding.

        Parameters
        ----------
        x, y
            Top left corner of the window in px, negative for padding.
        width, height
            Of the window in px.

        Returns
        -------
        StereoCamera
            Of the window.
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
        """Turn disparity into depth.

        Parameters
        ----------
        disparity
            As matched, px, of any shape.

        Returns
        -------
        np.ndarray
            Float32 m along Z, of the same shape; +Inf where the disparity is that of infinity or
            less; NaN stays NaN.
        """
        parallax = np.subtract(disparity, np.float32(self.offset), dtype=np.float32)
        np.maximum(parallax, 0.0, out=parallax)
        with np.errstate(divide="ignore"):
            return np.divide(np.float32(self.fx * self.baseline), parallax, out=parallax)

    def disparity(self, depth: np.ndarray | float) -> np.ndarray:
        """Turn depth into disparity.

        Parameters
        ----------
        depth
            Along Z in m, of any shape.

        Returns
        -------
        np.ndarray
            As matched, float32 px, of the same shape.
        """
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
        """Turn depth into coordinates in the left optical frame.

        Parameters
        ----------
        depth
            (h, w) m, every ``stride``-th row and column of the image.
        stride
            In px.

        Returns
        -------
        tuple of np.ndarray
            x, y and z, (h, w) float32 m each.
        """
        ray_x, ray_y = self.rays
        # The ray along the axis has x = 0, and 0 * Inf is NaN, as it should be.
        with np.errstate(invalid="ignore"):
            return depth * ray_x[:, ::stride], depth * ray_y[::stride], depth

    def points(self, depth: np.ndarray, stride: int = 1) -> np.ndarray:
        """Turn depth into points in the left optical frame.

        Parameters
        ----------
        depth, stride
            As of `planes`.

        Returns
        -------
        np.ndarray
            (h, w, 3) float32 m.
        """
        return np.stack(self.planes(depth, stride), axis=-1)


def _describe_size(calibration: Calibration) -> str:
    if calibration.bins == (1, 1):
        return ""
    _, _, width, height = calibration.window
    bx, by = calibration.bins
    return f"{width} x {height} over a binning of {bx} x {by}"
