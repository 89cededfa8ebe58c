"""What matches say of the rig: order, rows, exposure."""

import cv2
import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.pair_check import BLANK, SWAPPED, UNMATCHED, _judge, check_pair
from stereo_depth_ros.scenes.planar import plane_scene, render, yard_scene


@pytest.fixture(scope="module")
def views(yard):
    return yard.pair.left, yard.pair.right


def turned(image, degrees):
    height, width = image.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2 - 0.5, height / 2 - 0.5), degrees, 1.0)
    return cv2.warpAffine(image, matrix, (width, height), borderMode=cv2.BORDER_REFLECT)


def darkened(image, gain, offset=0):
    return np.clip(np.rint(image * gain + offset), 0, 255).astype(np.uint8)


def test_rectified_pair_is_without_findings(views):
    check = check_pair(*views, 0.0)

    assert (check.refusal, check.findings) == (None, ())
    assert check.matches >= 100
    assert check.row_rms < 0.1
    assert abs(check.row_median) < 0.05
    assert check.below < 0.05
    assert check.gain == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda left, right: (right, left),
        lambda left, right: (left[::-1, ::-1].copy(), right[::-1, ::-1].copy()),
        lambda left, right: (left[:, ::-1].copy(), right[:, ::-1].copy()),
    ],
    ids=["swapped", "upside_down", "mirrored"],
)
def test_pair_below_infinity_is_refused(views, mistake):
    check = check_pair(*mistake(*views), 0.0)

    assert check.refusal == SWAPPED
    assert check.below > 0.9


def test_pair_turned_over_and_exchanged_is_right_again(views):
    left, right = (view[::-1, ::-1].copy() for view in views)

    assert check_pair(right, left, 0.0).refusal is None


@pytest.mark.parametrize("offset", [40.0, -40.0])
def test_infinity_is_where_the_principal_points_put_it(offset):
    camera = StereoCamera(320, 240, 260.0, 260.0, 159.5, 119.5, 159.5 - offset, 0.12)
    pair = render(yard_scene(), camera)

    right, swapped = (
        check_pair(pair.left, pair.right, offset),
        check_pair(pair.right, pair.left, -offset),
    )

    assert right.refusal is None
    assert right.below < 0.05
    assert swapped.refusal == SWAPPED


def test_cameras_that_squint_a_little_before_a_far_wall_are_not_taken_for_swapped():
    camera = StereoCamera(320, 240, 260.0, 260.0, 159.5, 119.5, 159.5, 0.12)
    pair = render(plane_scene(300.0), camera)

    check = check_pair(pair.left, np.roll(pair.right, 3, axis=1), 0.0)

    assert check.refusal is None
    assert len(check.findings) == 1
    assert "2.9 px below the disparity of infinity" in check.findings[0]
    assert "recalibrate" in check.findings[0]


@pytest.mark.parametrize("rows", [2, -2, 6])
def test_row_median_is_positive_where_the_right_image_lies_lower(views, rows):
    check = check_pair(views[0], np.roll(views[1], rows, axis=0), 0.0)

    assert check.row_median == pytest.approx(rows, abs=0.1)
    assert check.row_rms == pytest.approx(abs(rows), abs=0.1)
    assert check.findings == (
        f"rows of the two views differ by {abs(rows):.1f} px RMS: the rectification is off; "
        "recalibrate the pair",
    )


def test_rotation_about_the_axis_shows_in_the_rms_and_not_in_the_median(views):
    check = check_pair(views[0], turned(views[1], 1.5), 0.0)

    assert check.row_rms > 1.0
    assert abs(check.row_median) < check.row_rms
    assert "recalibrate" in check.findings[0]


def test_rows_half_a_pixel_off_are_no_finding(views):
    shifted = cv2.warpAffine(views[1], np.float32([[1, 0, 0], [0, 1, 0.5]]), (320, 240))

    check = check_pair(views[0], shifted, 0.0)

    assert check.row_median == pytest.approx(0.5, abs=0.1)
    assert check.findings == ()


def test_cameras_above_each_other_are_named(views):
    upright = [np.ascontiguousarray(view.transpose(1, 0, 2)) for view in views]

    check = check_pair(*upright, 0.0)

    assert check.refusal is None
    assert len(check.findings) == 1
    assert "one camera stands above the other" in check.findings[0]


def test_near_things_are_matched_however_large_their_disparity():
    # 70 px, which is no part of the 200 px after which the wall's texture repeats
    camera = StereoCamera(240, 180, 200.0, 200.0, 119.5, 89.5, 119.5, 0.14)
    pair = render(plane_scene(0.4), camera)
    assert pair.disparity.min() > 69

    check = check_pair(pair.left, np.roll(pair.right, 2, axis=0), 0.0)

    assert check.row_median == pytest.approx(2.0, abs=0.1)
    assert check.refusal is None


@pytest.mark.parametrize(("gain", "offset"), [(0.5, 0), (0.7, 0), (0.7, 40), (1.5, -60)])
def test_unequal_exposure_is_measured_and_named(views, gain, offset):
    check = check_pair(views[0], darkened(views[1], gain, offset), 0.0)

    assert check.gain == pytest.approx(gain, rel=0.05)
    assert check.row_rms < 0.1
    assert len(check.findings) == 1
    assert f"{check.gain:.2f} times the contrast" in check.findings[0]
    assert "same exposure" in check.findings[0]


@pytest.mark.parametrize("gain", [0.85, 1.0])
def test_nearly_equal_exposure_is_no_finding(views, gain):
    assert check_pair(views[0], darkened(views[1], gain), 0.0).findings == ()


def test_some_wrong_matches_change_no_verdict(views):
    left, right = views[0].copy(), views[1].copy()
    # A quarter of the right view shows what another quarter does, hence matches far off.
    right[:120, :160] = right[120:, 160:]

    check = check_pair(left, right, 0.0)

    assert (check.refusal, check.findings) == (None, ())
    assert check.row_rms < 0.5


@pytest.mark.parametrize("noise", [0, 2, 10])
def test_blank_pair_says_nothing(noise):
    random = np.random.default_rng(0)
    blank = 100 + random.normal(0, noise, (2, 240, 320, 3))

    assert check_pair(*np.clip(np.rint(blank), 0, 255).astype(np.uint8), 0.0) is None


def test_images_of_different_things_are_named(yard, wall):
    other = cv2.resize(wall.pair.right, (320, 240))

    assert check_pair(yard.pair.left, other, 0.0).findings == (UNMATCHED,)


def test_large_images_are_measured_in_their_own_pixels(views):
    large = [cv2.resize(view, (1280, 960), interpolation=cv2.INTER_CUBIC) for view in views]

    check = check_pair(large[0], np.roll(large[1], 8, axis=0), 0.0)

    assert check.row_median == pytest.approx(8.0, abs=0.2)


@pytest.mark.parametrize("width", [1920, 2880])
def test_rows_of_a_large_exact_pair_are_no_finding(views, width):
    size = width, width * 3 // 4
    large = [cv2.resize(view, size, interpolation=cv2.INTER_CUBIC) for view in views]

    assert check_pair(*large, 0.0).findings == ()
    rows = width / 960 + 1.0
    skewed = cv2.warpAffine(large[1], np.float32([[1, 0, 0], [0, 1, rows]]), size)
    assert "rows of the two views differ" in check_pair(large[0], skewed, 0.0).findings[0]


def test_equal_windows_of_a_facade_are_no_row_finding():
    wall = np.full((480, 640, 3), 180, np.uint8)
    window = np.random.default_rng(0).integers(0, 90, (24, 18, 3), np.uint8)
    for y in range(20, 440, 60):
        for x in range(20, 600, 50):
            wall[y : y + 24, x : x + 18] = window
    noise = np.random.default_rng(1).normal(0, 2, (2, 480, 640, 3))
    left, right = (
        np.clip(np.rint(view + noise[i]), 0, 255).astype(np.uint8)
        for i, view in enumerate((wall, np.roll(wall, -8, axis=1)))
    )

    check = check_pair(left, right, 0.0)

    assert check is None or not any("rows" in text for text in check.findings)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda left, right: (right, left),
        lambda left, right: (left[::-1, ::-1].copy(), right[::-1, ::-1].copy()),
        lambda left, right: (left[:, ::-1].copy(), right[:, ::-1].copy()),
    ],
    ids=["swapped", "upside_down", "mirrored"],
)
def test_mistake_is_refused_where_infinity_lies_elsewhere(mistake):
    # The calibration stays that of the rig: near things fall below infinity, far ones above it.
    camera = StereoCamera(320, 240, 260.0, 260.0, 159.5, 119.5, 162.5, 0.6)
    pair = render(yard_scene(), camera)

    assert check_pair(pair.left, pair.right, camera.offset).findings == ()
    assert check_pair(*mistake(pair.left, pair.right), camera.offset).refusal == SWAPPED


def test_views_without_a_common_feature_are_named(views):
    left, right = views

    check = check_pair(left, right[::-1, ::-1].copy(), 0.0)

    assert (check.matches, check.refusal, check.findings) == (0, None, (UNMATCHED,))


@pytest.mark.parametrize("level", [0, 255])
def test_covered_or_blinded_camera_is_named(views, level):
    blank = np.full_like(views[0], level)

    assert check_pair(views[0], blank, 0.0).findings == (BLANK.format("right"),)
    assert check_pair(blank, views[1], 0.0).findings == (BLANK.format("left"),)
    assert check_pair(blank, blank, 0.0) is None


def test_images_of_few_pixels_say_nothing(views):
    for size in (1, 4, 31):
        assert check_pair(*(view[:size, :size] for view in views), 0.0) is None


def test_distance_below_infinity_is_that_of_the_things_below():
    # A third lies 5 px below infinity, the rest on it: no median of all would tell.
    rows = np.zeros(90)
    parallax = np.where(np.arange(90) < 30, -5.0, 0.0)

    check = _judge(np.stack([parallax, rows], axis=1), 3200, 0.0, 1.0)

    assert check.refusal is None
    assert "far things lie 5.0 px below the disparity of infinity" in check.findings[0]
