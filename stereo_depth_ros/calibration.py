"""One camera's calibration: the numbers of ``sensor_msgs/CameraInfo`` without ROS."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from stereo_depth_ros.errors import InputError

MIN_FOCAL_PER_WIDTH, MAX_FOCAL_PER_WIDTH = 0.02, 1000.0
"""Focal lengths of views of 177 and of 0.06 degrees, in image widths."""

MAX_ASPECT = 4.0
"""Ratio of the focal lengths along rows and columns; halved side-by-side images have 2."""

MAX_CENTRE = 10.0
"""Distance of the principal point from the image's centre in image sizes; cropped windows of
verged cameras stay below 2."""


class CalibrationError(InputError):
    """A calibration that cannot give metric depth; the text names the cause and the cure."""


def scale_centre(centre: float, scale: float) -> float:
    """Scale an image coordinate; pixel centres lie on whole numbers, hence the halves.

    Parameters
    ----------
    centre
        Coordinate in px.
    scale
        Factor by which the image is resampled.

    Returns
    -------
    float
        Where it lies in the resampled image, px.
    """
    return (centre + 0.5) * scale - 0.5


@dataclass(frozen=True)
class Calibration:
    """What a camera driver says of one camera; field names and meaning as in CameraInfo (REP 104).

    Attributes
    ----------
    width, height
        Of the full sensor image in px.
    k, r, p
        (3, 3), (3, 3) and (3, 4) float64, K and P in px of that image, P[3] in px m.
    d
        Coefficients of ``distortion_model``.
    binning
        (x, y), 0 meaning 1.
    roi
        (x, y, width, height) in px of the full image; all zero: everything.
    source
        What messages call it, usually the topic.
    is_raw
        Whether P was computed from the poses of the cameras, so that no image is rectified to it
        yet.
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
    is_raw: bool = False

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
        """Make an undistorted, rectified camera.

        Parameters
        ----------
        width, height
            Of its images in px.
        focal
            Focal length in px.
        cx, cy
            Principal point in px.
        tx
            P[3], which is -focal * baseline, in px m.
        source
            What messages call it.

        Returns
        -------
        Calibration
            Of K and P alike.
        """
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
            scale_centre(float(self.p[0, 2]) - x, 1 / bx),
            scale_centre(float(self.p[1, 2]) - y, 1 / by),
        )

    def resize(self, width: int, height: int) -> Calibration:
        """Scale to resampled images.

        Parameters
        ----------
        width, height
            Of the resampled full images in px.

        Returns
        -------
        Calibration
            Of those images.
        """
        sx, sy = width / self.width, height / self.height
        scaling = np.array([[sx, 0, 0.5 * sx - 0.5], [0, sy, 0.5 * sy - 0.5], [0, 0, 1]])
        p = scaling @ self.p
        # P[3] and P[7] are lengths, not positions, and know no half pixel.
        p[:2, 3] = self.p[0, 3] * sx, self.p[1, 3] * sy
        return replace(self, width=width, height=height, k=scaling @ self.k, p=p)

    def check(self) -> Calibration:
        """Check that the numbers describe a calibrated camera.

        K is not looked at, as only rectification needs it.

        Returns
        -------
        Calibration
            Itself.

        Raises
        ------
        CalibrationError
            For an uncalibrated camera (P zero), NaN or infinite numbers, no image size, a ROI
            outside the sensor, and a P that is no projection of a rectified camera.
        """
        if not all(np.isfinite(numbers).all() for numbers in (self.k, self.p, self.r, self.d)):
            raise CalibrationError(
                f"{self.source}: K, P, R or D holds NaN or infinity; recalibrate the camera or "
                "repair its calibration file"
            )
        if self.p[0, 0] <= 0 or self.p[1, 1] <= 0:
            raise CalibrationError(
                f"{self.source}: K[0] = {self.k[0, 0]:g} and P[0] = {self.p[0, 0]:g}, P[5] = "
                f"{self.p[1, 1]:g}: the camera is not calibrated; calibrate it "
                "(camera_calibration) or load its calibration file"
            )
        if self.width <= 0 or self.height <= 0:
            raise CalibrationError(
                f"{self.source}: width x height is {self.width} x {self.height}; fill in the "
                "image size"
            )
        x, y, width, height = self.window
        if x + width > self.width or y + height > self.height or 0 in self.image_size:
            raise CalibrationError(
                f"{self.source}: roi {self.roi} and binning {self.binning} leave nothing of, or "
                f"lie outside, the {self.width} x {self.height} sensor; correct them"
            )
        self._check_projection()
        return self

    def _check_projection(self) -> None:
        p, fx, fy = self.p, self.p[0, 0], self.p[1, 1]
        skew = max(abs(p[0, 1]) / fx, abs(p[1, 0]) / fy)
        if skew > 1e-3 or not np.allclose(p[2, :3], (0, 0, 1), rtol=0, atol=1e-4):
            raise CalibrationError(
                f"{self.source}: P[1] = {p[0, 1]:g}, P[4] = {p[1, 0]:g} and the third row of P is "
                f"{p[2, 0]:g} {p[2, 1]:g} {p[2, 2]:g}, not 0, 0 and 0 0 1: P is probably K * R. P "
                "must be that of the rectified images, fx 0 cx Tx, 0 fy cy 0, 0 0 1 0"
            )
        cx, cy = p[0, 2], p[1, 2]
        if cx == 0 or cy == 0:
            raise CalibrationError(
                f"{self.source}: P[2] = {cx:g} and P[6] = {cy:g}: the principal point is not "
                "filled in; recalibrate the camera or repair its calibration file"
            )
        if (
            not MIN_FOCAL_PER_WIDTH <= fx / self.width <= MAX_FOCAL_PER_WIDTH
            or not 1 / MAX_ASPECT <= fy / fx <= MAX_ASPECT
            or abs(cx / self.width - 0.5) > MAX_CENTRE
            or abs(cy / self.height - 0.5) > MAX_CENTRE
        ):
            raise CalibrationError(
                f"{self.source}: P with fx = {fx:g}, fy = {fy:g}, cx = {cx:g} and cy = {cy:g} is "
                f"no camera of {self.width} x {self.height} px; recalibrate it or repair its "
                "calibration file"
            )
