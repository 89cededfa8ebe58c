"""One camera's calibration: the numbers of ``sensor_msgs/CameraInfo`` without ROS."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


class CalibrationError(ValueError):
    """A calibration that cannot give metric depth; the text names the cause and the cure."""


def scaled_centre(centre: float, scale: float) -> float:
    """Return where the image coordinate ``centre`` lies once the image is resampled by ``scale``.

    Pixel centres lie on whole numbers, hence the halves.
    """
    return (centre + 0.5) * scale - 0.5


@dataclass(frozen=True)
class Calibration:
    """What a camera driver says of one camera; field names and meaning as in CameraInfo (REP 104).

    ``k`` (3, 3), ``r`` (3, 3) and ``p`` (3, 4) are float64 in pixels of the full sensor image of
    ``width`` x ``height``; ``roi`` is (x, y, width, height) in those pixels (all zero: everything);
    ``binning`` is (x, y), 0 meaning 1. ``source`` is what messages call it, usually the topic.
    """

    width: int
    height: int
    k: np.ndarray
    p: np.ndarray
    r: np.ndarray
    d: tuple[float, ...] = ()
    distortion_model: str = "plumb_bob"
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)
    source: str = "camera_info"

    @classmethod
    def pinhole(
        cls,
        width: int,
        height: int,
        focal: float,
        cx: float,
        cy: float,
        tx: float = 0.0,
        source: str = "camera_info",
    ) -> Calibration:
        """Return an undistorted, rectified camera; ``tx`` is P[3] (-focal * baseline, px * m)."""
        k = np.array([[focal, 0, cx], [0, focal, cy], [0, 0, 1]], np.float64)
        p = np.hstack([k, [[tx], [0.0], [0.0]]])
        return cls(width, height, k, p, np.eye(3), source=source)

    @property
    def is_rectified(self) -> bool:
        """Whether images of this camera need no rectification: no distortion and R = identity."""
        return not np.any(self.d) and bool(np.allclose(self.r, np.eye(3), atol=1e-9))

    @property
    def image_size(self) -> tuple[int, int]:
        """(width, height) of the images the camera sends, after its ROI and binning."""
        _, _, width, height = self.window
        bx, by = self.bins
        return width // bx, height // by

    @property
    def bins(self) -> tuple[int, int]:
        """(x, y) binning with the 0 that means 1 resolved."""
        return max(1, self.binning[0]), max(1, self.binning[1])

    @property
    def window(self) -> tuple[int, int, int, int]:
        """(x, y, width, height) of the part of the sensor that is sent."""
        x, y, width, height = self.roi
        return x, y, width or self.width, height or self.height

    @property
    def sent(self) -> tuple[float, float, float, float]:
        """(fx, fy, cx, cy) of P in px of the images the camera sends."""
        (x, y, _, _), (bx, by) = self.window, self.bins
        return (
            float(self.p[0, 0]) / bx,
            float(self.p[1, 1]) / by,
            scaled_centre(float(self.p[0, 2]) - x, 1 / bx),
            scaled_centre(float(self.p[1, 2]) - y, 1 / by),
        )

    def checked(self) -> Calibration:
        """Return self when the numbers describe a calibrated camera.

        Raises
        ------
        CalibrationError
            For an uncalibrated camera (K or P zero), NaN or infinite numbers, no image size, or a
            ROI outside the sensor.
        """
        if not all(np.isfinite(numbers).all() for numbers in (self.k, self.p, self.r, self.d)):
            raise CalibrationError(
                f"{self.source}: K, P, R or D holds NaN or infinity; recalibrate the camera or "
                "repair its calibration file"
            )
        if self.p[0, 0] <= 0 or self.p[1, 1] <= 0 or self.k[0, 0] <= 0:
            raise CalibrationError(
                f"{self.source}: K[0] = {self.k[0, 0]:g} and P[0] = {self.p[0, 0]:g}: the camera "
                "is not calibrated; calibrate it (camera_calibration) or load its calibration file "
                "in the driver"
            )
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(
                f"{self.source}: width x height is {self.width} x {self.height}; the driver must "
                "fill in the image size"
            )
        x, y, width, height = self.window
        if x + width > self.width or y + height > self.height or 0 in self.image_size:
            raise CalibrationError(
                f"{self.source}: roi {self.roi} and binning {self.binning} leave nothing of, or "
                f"lie outside, the {self.width} x {self.height} sensor; correct them at the driver"
            )
        return self
