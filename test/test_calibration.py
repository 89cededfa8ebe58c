from dataclasses import replace

import numpy as np
import pytest

from stereo_depth_ros.calibration import Calibration, CalibrationError


def calibration(**changes):
    pinhole = Calibration.pinhole(640, 480, 400.0, 321.0, 239.0, -48.0, source="/left/camera_info")
    return replace(pinhole, **changes)


def with_entry(matrix, row, column, value):
    changed = matrix.copy()
    changed[row, column] = value
    return changed


def test_pinhole_puts_its_numbers_where_camera_info_has_them():
    made = Calibration.pinhole(640, 480, 400.0, 321.0, 239.0, -48.0)
    assert (made.width, made.height) == (640, 480)
    assert made.k.ravel().tolist() == [400, 0, 321, 0, 400, 239, 0, 0, 1]
    assert made.p.ravel().tolist() == [400, 0, 321, -48, 0, 400, 239, 0, 0, 0, 1, 0]


def test_pinhole_is_rectified():
    assert calibration().is_rectified


def test_zero_distortion_coefficients_count_as_rectified():
    assert calibration(d=(0.0,) * 5).is_rectified


def test_distortion_is_not_rectified():
    assert not calibration(d=(-0.05, 0.0, 0.0, 0.0, 0.0)).is_rectified


def test_rotation_is_not_rectified():
    angle = np.radians(0.1)
    turned = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    assert not calibration(r=turned).is_rectified


def test_binning_of_zero_means_one():
    assert calibration(binning=(0, 0)).bins == (1, 1)


@pytest.mark.parametrize(
    ("roi", "window"),
    [
        ((0, 0, 0, 0), (0, 0, 640, 480)),
        ((16, 8, 320, 240), (16, 8, 320, 240)),
        ((0, 0, 640, 480), (0, 0, 640, 480)),
    ],
)
def test_roi_of_zero_size_means_the_full_sensor(roi, window):
    assert calibration(roi=roi).window == window


@pytest.mark.parametrize(
    ("roi", "binning", "size"),
    [
        ((0, 0, 0, 0), (1, 1), (640, 480)),
        ((0, 0, 0, 0), (2, 2), (320, 240)),
        ((16, 8, 320, 240), (0, 0), (320, 240)),
        ((16, 8, 320, 240), (2, 4), (160, 60)),
        ((0, 0, 321, 241), (2, 2), (160, 120)),
    ],
)
def test_image_size_is_the_roi_divided_by_the_binning(roi, binning, size):
    assert calibration(roi=roi, binning=binning).image_size == size


def test_checked_returns_a_calibrated_camera_unchanged():
    good = calibration()
    assert good.check() is good


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize(
    ("name", "row", "column"), [("k", 0, 0), ("k", 1, 2), ("p", 0, 0), ("p", 0, 3)]
)
def test_numbers_that_are_not_finite_are_refused(bad, name, row, column):
    matrix = with_entry(getattr(calibration(), name), row, column, bad)
    with pytest.raises(CalibrationError, match=r"/left/camera_info: .*NaN.*recalibrate"):
        calibration(**{name: matrix}).check()


@pytest.mark.parametrize("zeroed", [["p"], ["k", "p"]])
def test_uncalibrated_camera_is_refused_with_the_cure(zeroed):
    zeros = {name: np.zeros_like(getattr(calibration(), name)) for name in zeroed}
    with pytest.raises(
        CalibrationError, match=r"/left/camera_info: K\[0\] = .* and P\[0\] = .*not calibrated"
    ):
        calibration(**zeros).check()


def test_k_is_not_looked_at():
    without_k = calibration(k=np.zeros((3, 3)))
    assert without_k.check() is without_k


@pytest.mark.parametrize(("row", "column"), [(0, 0), (1, 1)])
def test_negative_focal_length_is_refused(row, column):
    with pytest.raises(CalibrationError, match="not calibrated"):
        calibration(p=with_entry(calibration().p, row, column, -400.0)).check()


@pytest.mark.parametrize(("width", "height"), [(0, 480), (640, 0)])
def test_missing_image_size_is_refused(width, height):
    with pytest.raises(CalibrationError, match=rf"{width} x {height}.*image size"):
        calibration(width=width, height=height).check()


@pytest.mark.parametrize("size", [(320, 240), (1280, 960), (1000, 500)])
def test_resized_calibration_projects_where_the_resampled_image_shows_the_point(size):
    sx, sy = size[0] / 640, size[1] / 480
    resized = calibration(k=with_entry(calibration().k, 0, 2, 322.0)).resize(*size)
    point = np.array([0.3, -0.2, 1.7])
    x, y, z = calibration().p @ [*point, 1.0]
    expected = ((x / z + 0.5) * sx - 0.5, (y / z + 0.5) * sy - 0.5)
    x, y, z = resized.p @ [*point, 1.0]
    assert (x / z, y / z) == pytest.approx(expected)
    assert resized.image_size == size
    assert resized.k[0, 2] == pytest.approx((322.0 + 0.5) * sx - 0.5)
    # The baseline in metres does not change.
    assert resized.p[0, 3] / resized.p[0, 0] == pytest.approx(-48.0 / 400.0)
