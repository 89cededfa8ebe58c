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

from stereo_depth_ros.calibration import Calibration, CalibrationError, scaled_centre

MAX_BASELINE_M = 5.0
"""Baselines above this are taken for another unit than metres."""

MIN_BASELINE_M = 0.001
"""Baselines below this are taken for a P[3] that lacks the focal length."""


@dataclass(frozen=True)
class StereoCamera:
    """A rectified pair: focal lengths and principal points in px, baseline in m, left view.

    ``warnings`` are findings about the calibration that do not prevent depth but deserve a log
    line, such as a baseline of the wrong sign.
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

    @classmethod
    def from_calibrations(
        cls,
        left: Calibration,
        right: Calibration,
        baseline: float = 0.0,
        tf_baseline: Callable[[], float | None] = lambda: None,
    ) -> StereoCamera:
        """Build the geometry of the images that the two cameras send.

        The baseline comes from P[3] of the right camera; where that is zero from ``baseline`` (the
        parameter, metres, 0 = unset); where that is unset ``tf_baseline`` is asked (metres, None =
        unknown).

        Raises
        ------
        CalibrationError
            Uncalibrated or NaN numbers, views of different size or focal length, swapped cameras,
            and a baseline outside `MIN_BASELINE_M` to `MAX_BASELINE_M`.
        """
        left.checked()
        right.checked()
        if left.image_size != right.image_size:
            raise CalibrationError(
                f"{left.source} says {left.image_size[0]} x {left.image_size[1]} and "
                f"{right.source} {right.image_size[0]} x {right.image_size[1]}: both views must "
                "have one size; set the same resolution for both cameras"
            )
        (fx, fy, cx, cy), (fx_right, _, cx_right, cy_right) = left.sent, right.sent
        if abs(fx - fx_right) > 0.01 * fx:
            raise CalibrationError(
                f"P[0] is {fx:g} in {left.source} and {fx_right:g} in {right.source}, after "
                "binning: a rectified pair shares one focal length; calibrate the two cameras as a "
                "stereo pair"
            )
        warnings = []
        if abs(cy - cy_right) > 1.0:
            warnings.append(
                f"P[6] (cy) differs by {cy - cy_right:.2f} px between {left.source} and "
                f"{right.source}: rows do not correspond; recalibrate the pair"
            )
        chosen = _baseline(left, right, baseline, tf_baseline, warnings)
        width, height = left.image_size
        if abs(cx - cx_right) >= width:
            raise CalibrationError(
                f"P[2] (cx) differs by {cx - cx_right:g} px between {left.source} and "
                f"{right.source}, more than the images are wide: they show nothing in common; "
                "recalibrate the pair"
            )
        return cls(width, height, fx, fy, cx, cy, cx_right, chosen, tuple(warnings))

    @classmethod
    def uncalibrated(cls, width: int, height: int) -> StereoCamera:
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

    def resized(self, width: int, height: int) -> StereoCamera:
        """Return the geometry of both images resampled to ``width`` x ``height`` px."""
        sx, sy = width / self.width, height / self.height
        return replace(
            self,
            width=width,
            height=height,
            fx=self.fx * sx,
            fy=self.fy * sy,
            cx=scaled_centre(self.cx, sx),
            cy=scaled_centre(self.cy, sy),
            cx_right=scaled_centre(self.cx_right, sx),
        )

    def cropped(self, x: int, y: int, width: int, height: int) -> StereoCamera:
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
        return depth * ray_x[:, ::stride], depth * ray_y[::stride], depth

    def points(self, depth: np.ndarray, stride: int = 1) -> np.ndarray:
        """Return `planes` as one (h, w, 3) array."""
        return np.stack(self.planes(depth, stride), axis=-1)


def _baseline(
    left: Calibration,
    right: Calibration,
    parameter: float,
    tf_baseline: Callable[[], float | None],
    warnings: list[str],
) -> float:
    tx_left = left.p[0, 3] / left.p[0, 0]
    tx_right = right.p[0, 3] / right.p[0, 0]
    if tx_left < 0 and tx_right == 0:
        raise CalibrationError(
            f"{left.source} has P[3] = {left.p[0, 3]:g} and {right.source} P[3] = 0: left and "
            "right are swapped; swap the topic arguments"
        )
    signed = tx_left - tx_right
    origin = f"P[3] = {right.p[0, 3]:g} of {right.source}"
    if signed == 0:
        if parameter != 0:
            signed, origin = parameter, "parameter 'baseline'"
        else:
            signed, origin = tf_baseline() or 0.0, "TF between the two camera frames"
    if not np.isfinite(signed) or signed == 0:
        raise CalibrationError(
            f"baseline is {signed:g}: P[3] of {right.source} is {right.p[0, 3]:g}, parameter "
            f"'baseline' is {parameter:g} and TF gives none; set parameter 'baseline' to the "
            "distance between the cameras in metres"
        )
    if not MIN_BASELINE_M <= abs(signed) <= MAX_BASELINE_M:
        raise CalibrationError(
            f"baseline is {abs(signed):g} m from {origin}, not between {MIN_BASELINE_M:g} and "
            f"{MAX_BASELINE_M:g} m: the value is probably in millimetres or centimetres, or P[3] "
            "is not -fx * baseline; correct it there"
        )
    if signed < 0:
        warnings.append(
            f"baseline is {signed:g} m from {origin}: the sign is wrong (P[3] of the right camera "
            f"is -fx * baseline); using {-signed:g} m. If depth looks wrong, left and right are "
            "swapped"
        )
    if (
        parameter != 0
        and origin.startswith("P[3]")
        and abs(abs(signed) - parameter) > 0.01 * abs(signed)
    ):
        warnings.append(
            f"parameter 'baseline' = {parameter:g} m is ignored: {origin} gives {abs(signed):g} m"
        )
    return float(abs(signed))
