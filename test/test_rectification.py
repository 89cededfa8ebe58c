from dataclasses import replace

import cv2
import numpy as np
import pytest

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.rectification import check_lenses, rectification_map

WIDTH, HEIGHT = 160, 120
K = np.array([[101.5, 0, 78.0], [0, 102.5, 61.0], [0, 0, 1]])
P = np.array([[98.0, 0, 80.5, -9.8], [0, 98.0, 58.5, 0], [0, 0, 1, 0]])
R = cv2.Rodrigues(np.radians([1.5, -2.0, 1.0]))[0]

PINHOLE = {
    "plumb_bob": (-0.28, 0.07, 0.001, -0.002, 0.01),
    "rational_polynomial": (0.4, -0.2, 0.0005, -0.001, 0.02, 0.7, -0.15, 0.01),
}
EQUIDISTANT = (-0.02, 0.006, -0.002, 0.0004)


def raw(model, d, **changes):
    return Calibration(
        WIDTH, HEIGHT, K, P, R, d=d, distortion_model=model, source="/cam/camera_info", **changes
    )


def smooth_image(width=WIDTH, height=HEIGHT):
    """Return colours that change by some grey levels per pixel and never jump."""
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    waves = [np.sin(x / 9.0), np.cos(y / 8.0), np.sin((x + y) / 12.0)]
    return np.rint(127 + 100 * np.stack(waves, axis=-1)).astype(np.uint8)


def difference(a, b):
    return np.abs(a.astype(float) - b.astype(float))


@pytest.mark.parametrize("model", PINHOLE)
def test_map_equals_opencv_for_a_pinhole_model(model):
    image = smooth_image()
    maps = cv2.initUndistortRectifyMap(
        K, np.array(PINHOLE[model]), R, P[:, :3], (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR)
    rectified = rectification_map(raw(model, PINHOLE[model]))(image)
    # coordinates in 32nds of a pixel, on slopes of some grey levels per pixel
    assert difference(rectified, expected).max() <= 4
    assert difference(rectified, expected).mean() < 0.3
    assert difference(rectified, image).mean() > 5


@pytest.mark.parametrize("model", ["equidistant", "fisheye"])
def test_map_equals_opencv_for_a_fisheye_model(model):
    image = smooth_image()
    maps = cv2.fisheye.initUndistortRectifyMap(
        K, np.array(EQUIDISTANT), R, P[:, :3], (WIDTH, HEIGHT), cv2.CV_32FC1
    )
    expected = cv2.remap(image, *maps, cv2.INTER_LINEAR)
    rectified = rectification_map(raw(model, EQUIDISTANT))(image)
    assert difference(rectified, expected).max() <= 4
    assert difference(rectified, expected).mean() < 0.3
    assert difference(rectified, image).mean() > 5


def test_rectified_pixel_shows_where_its_ray_meets_the_raw_image():
    # An image whose values are its own columns, so that what is sampled says from where.
    columns = np.broadcast_to(np.arange(WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()
    k1, k2, p1, p2, k3 = PINHOLE["plumb_bob"]
    sampled = rectification_map(raw("plumb_bob", PINHOLE["plumb_bob"]))(columns)
    for u, v in [(80, 60), (50, 40), (110, 80)]:
        ray = R.T @ np.linalg.inv(P[:, :3]) @ (u, v, 1)
        x, y = ray[:2] / ray[2]
        r2 = x * x + y * y
        radial = 1 + k1 * r2 + k2 * r2**2 + k3 * r2**3
        distorted = x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x)
        assert sampled[v, u] == pytest.approx(K[0, 0] * distorted + K[0, 2], abs=0.05)


def test_camera_without_distortion_keeps_its_image():
    image = smooth_image()
    ideal = Calibration.pinhole(WIDTH, HEIGHT, 100.0, 79.5, 59.5)
    np.testing.assert_array_equal(rectification_map(ideal)(image), image)


def test_model_without_a_name_and_coefficients_is_an_ideal_pinhole():
    image = smooth_image()
    ideal = replace(Calibration.pinhole(WIDTH, HEIGHT, 100.0, 79.5, 59.5), distortion_model="")
    np.testing.assert_array_equal(rectification_map(ideal)(image), image)


@pytest.mark.parametrize("shape", [(HEIGHT, WIDTH), (HEIGHT, WIDTH, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_rectified_image_has_the_shape_and_type_of_the_raw_one(shape, dtype):
    image = np.full(shape, 200, dtype)
    rectified = rectification_map(raw("plumb_bob", PINHOLE["plumb_bob"]))(image)
    assert rectified.shape == shape
    assert rectified.dtype == dtype
    assert rectified[HEIGHT // 2, WIDTH // 2].tolist() == image[0, 0].tolist()


def test_pixels_beyond_the_raw_image_are_black():
    wide = np.array([[40.0, 0, 79.5, 0], [0, 40.0, 59.5, 0], [0, 0, 1, 0]])
    calibration = replace(raw("plumb_bob", ()), r=np.eye(3), p=wide)
    rectified = rectification_map(calibration)(np.full((HEIGHT, WIDTH), 255, np.uint8))
    assert rectified[0, 0] == 0
    assert rectified[HEIGHT // 2, WIDTH // 2] == 255


@pytest.mark.parametrize("model", ["thin_prism", "kannala_brandt"])
def test_unknown_model_is_refused_by_name_with_the_known_ones(model):
    with pytest.raises(CalibrationError) as caught:
        rectification_map(raw(model, (0.0,) * 4))
    message = str(caught.value)
    for word in ("/cam/camera_info", model, "plumb_bob", "equidistant", "set rectify to never"):
        assert word in message


def test_uncalibrated_camera_is_refused():
    with pytest.raises(CalibrationError, match=r"/cam/camera_info.*not calibrated"):
        rectification_map(replace(raw("plumb_bob", ()), p=np.zeros((3, 4))))


def test_lenses_without_anything_to_rectify_are_refused_by_name():
    one, other = (
        Calibration.pinhole(WIDTH, HEIGHT, 100.0, 40.0, 30.0, source=name) for name in "ab"
    )

    with pytest.raises(CalibrationError) as refused:
        check_lenses(one, other, "--rectify")

    assert str(refused.value) == (
        "--rectify has nothing to go by: neither distortion D nor rotation R is in a and b; leave "
        "out --rectify where the images are rectified, or give the raw cameras' calibration"
    )


@pytest.mark.parametrize(
    "changes",
    [{"d": (0.1, 0, 0, 0, 0)}, {"r": cv2.Rodrigues(np.array([0, 0.01, 0]))[0]}, {"k": np.eye(3)}],
    ids=["D", "R", "K"],
)
def test_one_lens_with_something_to_rectify_is_enough(changes):
    one = Calibration.pinhole(WIDTH, HEIGHT, 100.0, 40.0, 30.0)

    check_lenses(one, replace(one, **changes), "--rectify")
    check_lenses(replace(one, **changes), one, "--rectify")


def test_k_that_is_not_filled_is_refused_with_the_cure():
    with pytest.raises(CalibrationError, match=r"/cam/camera_info: K\[0\] = 0.*fill K"):
        rectification_map(replace(raw("plumb_bob", ()), k=np.zeros((3, 3))))


@pytest.mark.parametrize("r", [np.zeros((3, 3)), 2 * np.eye(3), -np.eye(3)])
def test_r_that_is_no_rotation_is_refused(r):
    with pytest.raises(CalibrationError, match=r"/cam/camera_info: R is no rotation"):
        rectification_map(replace(raw("plumb_bob", ()), r=r))


@pytest.mark.parametrize("zeros", [1, 4])
def test_equidistant_coefficients_may_be_followed_by_zeros(zeros):
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    padded = rectification_map(raw("equidistant", EQUIDISTANT + (0.0,) * zeros))
    np.testing.assert_array_equal(
        padded(image), rectification_map(raw("equidistant", EQUIDISTANT))(image)
    )


def test_fifth_coefficient_of_an_equidistant_lens_is_refused():
    with pytest.raises(CalibrationError, match="5 coefficients D do not fit"):
        rectification_map(raw("equidistant", (*EQUIDISTANT, 0.01)))


@pytest.mark.parametrize(
    ("model", "d"), [("plumb_bob", (-0.28, 0.07, 0.001)), ("equidistant", (-0.02, 0.006))]
)
def test_wrong_number_of_coefficients_is_a_calibration_error(model, d):
    with pytest.raises(CalibrationError, match="/cam/camera_info"):
        rectification_map(raw(model, d))


MODELS = [*PINHOLE.items(), ("equidistant", EQUIDISTANT)]


@pytest.mark.parametrize(("model", "d"), MODELS)
def test_roi_is_rectified_as_its_part_of_the_full_image(model, d):
    image = smooth_image()
    x, y, width, height = 20, 10, 120, 90
    full = rectification_map(raw(model, d))(image)
    part = rectification_map(raw(model, d, roi=(x, y, width, height)))(
        image[y : y + height, x : x + width]
    )
    assert part.shape == (height, width, 3)
    inside = np.s_[15:-15, 15:-15]
    error = difference(part, full[y : y + height, x : x + width])[inside]
    assert error.max() <= 4
    assert error.mean() < 0.3


@pytest.mark.parametrize(("model", "d"), MODELS)
def test_binned_image_is_rectified_as_the_binned_full_image(model, d):
    image = smooth_image()

    def binned(picture):
        return picture.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))

    full = binned(rectification_map(raw(model, d))(image))
    sent = np.rint(binned(image)).astype(np.uint8)
    small = rectification_map(raw(model, d, binning=(2, 2)))(sent)
    assert small.shape == (HEIGHT // 2, WIDTH // 2, 3)
    inside = np.s_[8:-8, 8:-8]
    assert difference(small, full)[inside].mean() < 0.6


def test_binned_pixel_shows_the_point_between_the_sensor_pixels_it_covers():
    # Zoomed twofold, so that a shift common to the raw and the rectified image does not cancel.
    k = np.array([[100.0, 0, 70.0], [0, 100.0, 50.0], [0, 0, 1]])
    p = np.array([[200.0, 0, 90.0, 0], [0, 200.0, 55.0, 0], [0, 0, 1, 0]])
    calibration = Calibration(WIDTH, HEIGHT, k, p, np.eye(3), binning=(4, 2))
    columns, rows = np.meshgrid(np.arange(40, dtype=np.float32), np.arange(60, dtype=np.float32))
    column, row = 22, 31
    sensor_x = ((column + 0.5) * 4 - 0.5 - 90.0) / 200.0 * 100.0 + 70.0
    sensor_y = ((row + 0.5) * 2 - 0.5 - 55.0) / 200.0 * 100.0 + 50.0
    rectify = rectification_map(calibration)
    assert rectify(columns)[row, column] == pytest.approx((sensor_x + 0.5) / 4 - 0.5, abs=0.02)
    assert rectify(rows)[row, column] == pytest.approx((sensor_y + 0.5) / 2 - 0.5, abs=0.02)


def test_roi_with_binning_is_rectified_as_its_part_of_the_binned_image():
    d = PINHOLE["plumb_bob"]
    image = smooth_image()
    sent = image.reshape(HEIGHT // 2, 2, WIDTH // 2, 2, 3).mean(axis=(1, 3))
    sent = np.rint(sent).astype(np.uint8)
    full = rectification_map(raw("plumb_bob", d, binning=(2, 2)))(sent)
    part = rectification_map(raw("plumb_bob", d, binning=(2, 2), roi=(20, 10, 120, 90)))(
        sent[5:50, 10:70]
    )
    assert part.shape == (45, 60, 3)
    error = difference(part, full[5:50, 10:70])[8:-8, 8:-8]
    assert error.max() <= 4
    assert error.mean() < 0.3


def test_lack_of_memory_is_not_blamed_on_the_coefficients(monkeypatch):
    def allocate(*arguments):
        error = cv2.error("Failed to allocate 14400000000 bytes")
        error.code = -4
        raise error

    monkeypatch.setattr(cv2, "initUndistortRectifyMap", allocate)
    with pytest.raises(CalibrationError, match="no memory for the rectification of 160 x 120"):
        rectification_map(raw("plumb_bob", PINHOLE["plumb_bob"]))
