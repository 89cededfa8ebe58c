"""Whether two calibrations belong to one horizontal pair of rectified images."""

from __future__ import annotations

from stereo_depth_ros.baseline import MIN_BASELINE_M
from stereo_depth_ros.calibration import Calibration, CalibrationError

MAX_OFF_CENTRE = 0.2
"""Distance of the principal point from the centre in image sizes, on both axes alike, above which
P is taken for another resolution's: binning by two counted twice puts it a quarter away."""

MAX_OFFSET = 0.3
"""Disparity of infinity in image widths above which P[2] of one camera is taken for wrong."""


def check_calibrations(left: Calibration, right: Calibration) -> list[str]:
    """Return the findings that do not prevent depth.

    Raises
    ------
    CalibrationError
        Numbers that are no calibration, views of different size or focal length, views that show
        nothing in common, cameras above each other, and one camera_info published twice.
    """
    left.check()
    right.check()
    if left.image_size != right.image_size:
        raise CalibrationError(
            f"{left.source} says {left.image_size[0]} x {left.image_size[1]} and "
            f"{right.source} {right.image_size[0]} x {right.image_size[1]}: both views must "
            "have one size; set the same resolution for both cameras"
        )
    (fx, _, cx, cy), (fx_right, _, cx_right, cy_right) = left.sent, right.sent
    if abs(fx - fx_right) > 0.01 * fx:
        raise CalibrationError(
            f"P[0] is {fx:g} in {left.source} and {fx_right:g} in {right.source}, after "
            "binning: a rectified pair shares one focal length; calibrate the two cameras as a "
            "stereo pair"
        )
    _check_direction(left, right)
    warnings = []
    if abs(cy - cy_right) > 1.0:
        warnings.append(
            f"P[6] (cy) differs by {cy - cy_right:.2f} px between {left.source} and "
            f"{right.source}: rows do not correspond; recalibrate the pair"
        )
    width = left.image_size[0]
    if abs(cx - cx_right) >= width:
        raise CalibrationError(
            f"P[2] (cx) differs by {cx - cx_right:g} px between {left.source} and "
            f"{right.source}, more than the images are wide: they show nothing in common; "
            "recalibrate the pair"
        )
    # Of the sensor, as windows may lie apart on the two.
    share = abs(cx - cx_right) * left.bins[0] / left.width
    if share > MAX_OFFSET:
        warnings.append(
            f"P[2] (cx) differs by {cx - cx_right:g} px between {left.source} and "
            f"{right.source}, {100 * share:.0f} % of the image width: one of them is probably "
            "wrong; recalibrate the pair"
        )
    warnings += [text for text in map(_describe_off_centre, (left, right)) if text][:1]
    return warnings


def _check_direction(left: Calibration, right: Calibration) -> None:
    tx = right.p[0, 3] / right.p[0, 0] - left.p[0, 3] / left.p[0, 0]
    ty = right.p[1, 3] / right.p[1, 1] - left.p[1, 3] / left.p[1, 1]
    if abs(ty) > max(abs(tx), MIN_BASELINE_M):
        raise CalibrationError(
            f"P[7] is {left.p[1, 3]:g} in {left.source} and {right.p[1, 3]:g} in {right.source}: "
            "one camera is above the other, and vertical pairs are not supported; turn the images "
            "by 90 degrees and calibrate them so"
        )


def _describe_off_centre(calibration: Calibration) -> str | None:
    # Of the sensor, not of the window: a ROI may lie anywhere on it.
    x = calibration.p[0, 2] / calibration.width
    y = calibration.p[1, 2] / calibration.height
    # Another resolution scales both axes alike; verged cameras and cropped rows move one.
    is_scaled = (x - 0.5) * (y - 0.5) > 0 and 0.7 <= x / y <= 1 / 0.7
    if min(abs(x - 0.5), abs(y - 0.5)) <= MAX_OFF_CENTRE or not is_scaled:
        return None
    return (
        f"{calibration.source}: the principal point P[2], P[6] = {calibration.p[0, 2]:g}, "
        f"{calibration.p[1, 2]:g} lies at {100 * x:.0f} % and {100 * y:.0f} % of the "
        f"{calibration.width} x {calibration.height} image, far from its centre: P is probably of "
        "another resolution, and depth is off by that factor; P, width and height must belong "
        "together, all before binning"
    )
