import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros import filters
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.scenes.planar import Patch, render, yard_scene

NAN = np.float32(np.nan)


def f32(rows):
    return np.array(rows, np.float32)


def test_confident_keeps_what_is_above_the_threshold():
    kept = filters.confident(f32([[0.1, 0.5, 0.51, 1.0]]), 0.5)

    assert_array_equal(kept, [[False, False, True, True]])


@pytest.mark.parametrize("threshold", [0.0, -1.0])
def test_confidence_zero_is_never_kept(threshold):
    kept = filters.confident(f32([[0.0, 1e-6]]), threshold)

    assert_array_equal(kept, [[False, True]])


def test_confidence_nan_is_not_kept():
    assert_array_equal(filters.confident(f32([[NAN, 0.5]]), 0.0), [[False, True]])


def occluder():
    """A foreground of 10 px at left columns 20..29 before a background of 2 px, in both views."""
    left = np.full((3, 48), 2, np.float32)
    left[:, 20:30] = 10
    right = np.full((3, 48), 2, np.float32)
    right[:, 10:20] = 10
    return left, right


def test_occluders_shadow_is_not_left_right_consistent():
    kept = filters.left_right_consistent(*occluder(), tolerance=1.0)

    # Background columns 12..21 match right columns 10..19, which show the foreground.
    lost = [0, 1, *range(12, 20)]
    expected = np.ones((3, 48), bool)
    expected[:, lost] = False
    assert_array_equal(kept, expected)


def test_match_outside_the_right_view_is_not_consistent():
    disparity = f32([[0, 2, 2, 2]])

    kept = filters.left_right_consistent(disparity, disparity, tolerance=5.0)

    assert_array_equal(kept, [[True, False, True, True]])


def test_left_right_tolerance_is_inclusive():
    left, right = f32([[0.0, 0.0, 0.0]]), f32([[0.0, 1.5, 1.6]])

    kept = filters.left_right_consistent(left, right, tolerance=1.5)

    assert_array_equal(kept, [[True, True, False]])


def test_unknown_disparity_is_not_consistent():
    left, right = f32([[0, NAN, 0]]), f32([[0, 0, NAN]])

    kept = filters.left_right_consistent(left, right, tolerance=1.0)

    assert_array_equal(kept, [[True, False, False]])


def test_left_right_check_on_rendered_truth_finds_what_both_views_see():
    camera = StereoCamera(160, 120, 130.0, 130.0, 80.5, 59.5, 78.25, 0.12)
    # Seen in a mirror, the right view is a left view, whose truth can be rendered too.
    mirrored_camera = StereoCamera(
        160, 120, 130.0, 130.0, 159 - camera.cx_right, 59.5, 159 - camera.cx, 0.12
    )
    left = render(yard_scene(), camera)
    right = render([mirrored(patch, camera.baseline) for patch in yard_scene()], mirrored_camera)

    kept = filters.left_right_consistent(left.disparity, right.disparity[:, ::-1], tolerance=0.5)

    assert (~left.visible).mean() > 0.05
    assert (kept == left.visible).mean() > 0.985


def mirrored(patch, baseline):
    def turned(edge):
        return (-edge[0], *edge[1:])

    origin = (baseline - patch.origin[0], *patch.origin[1:])
    return Patch(origin, turned(patch.edge_a), turned(patch.edge_b), seed=patch.seed)


def test_pixel_between_foreground_and_background_is_flying():
    disparity = np.repeat(f32([[4, 4, 4, 8, 12, 12, 12]]), 5, axis=0)

    kept = filters.not_flying(disparity, 1.0)

    assert_array_equal(kept, np.repeat([[True, True, True, False, True, True, True]], 5, axis=0))


def test_pixel_between_surfaces_along_a_column_is_flying():
    disparity = np.repeat(f32([[4, 4, 4, 8, 12, 12, 12]]), 5, axis=0).T

    kept = filters.not_flying(disparity, 1.0)

    assert_array_equal(kept, np.repeat([[True, True, True, False, True, True, True]], 5, axis=0).T)


def test_slanted_surface_is_not_flying():
    disparity = np.add.outer(np.arange(6), np.arange(8)).astype(np.float32) * 0.9

    assert filters.not_flying(disparity, 1.0).all()


def test_unknown_disparity_is_not_on_a_surface():
    disparity = np.full((5, 5), 3, np.float32)
    disparity[2, 2] = NAN

    kept = filters.not_flying(disparity, 1.0)

    assert not kept[2, 2]
    assert kept.sum() == 24


def speckled():
    disparity = np.full((12, 16), 5, np.float32)
    disparity[3:5, 4:7] = 20
    return disparity


def test_region_of_the_given_size_is_a_speckle():
    kept = filters.not_speckle(speckled(), 6, 1.0)

    assert_array_equal(kept, speckled() == 5)


def test_region_above_the_given_size_is_no_speckle():
    assert filters.not_speckle(speckled(), 5, 1.0).all()


def test_step_within_a_region_joins_it():
    assert filters.not_speckle(speckled(), 6, 15.0).all()


def test_fractional_speckle_step_separates_regions():
    disparity = np.full((12, 16), 5, np.float32)
    disparity[3:5, 4:7] = 5.5

    assert filters.not_speckle(disparity, 6, 0.5).all()
    assert_array_equal(filters.not_speckle(disparity, 6, 0.25), disparity == 5)


def test_unknown_disparity_is_not_kept_by_the_speckle_filter():
    disparity = np.full((12, 16), 5, np.float32)
    disparity[:, 8] = NAN

    assert_array_equal(filters.not_speckle(disparity, 6, 1.0), np.isfinite(disparity))


def test_polygon_keeps_its_inside_and_its_edge():
    kept = filters.inside_polygon((1, 2, 5, 2, 5, 4, 1, 4), 6, 8)

    expected = np.zeros((6, 8), bool)
    expected[2:5, 1:6] = True
    assert_array_equal(kept, expected)


def test_polygon_may_reach_beyond_the_image():
    assert filters.inside_polygon((-10, -10, 50, -10, 50, 50, -10, 50), 6, 8).all()


def test_triangle_keeps_one_side_of_its_diagonal():
    kept = filters.inside_polygon((0, 0, 7, 7, 0, 7), 8, 8)

    assert_array_equal(kept, np.tri(8, dtype=bool))


def blended(new, new_grey, old, old_grey, valid=True, old_valid=True, **options):
    return filters.blend_over_time(
        f32([new]),
        np.array([new_grey], np.uint8),
        np.broadcast_to(valid, (1, len(new))),
        (
            f32([old]),
            np.array([old_grey], np.uint8),
            np.broadcast_to(old_valid, (1, len(old))),
        ),
        **options,
    )[0]


def test_still_pixel_moves_by_the_gain():
    assert blended([4.5], [100], [4.0], [100], gain=0.25) == pytest.approx([4.125])


def test_changed_grey_level_takes_the_new_disparity():
    values = blended([4.5, 4.5], [108, 109], [4.0, 4.0], [100, 100], gain=0.5)

    assert values == pytest.approx([4.25, 4.5])


def test_darkening_counts_as_change_too():
    assert blended([4.5], [0], [4.0], [255], gain=0.5) == pytest.approx([4.5])


def test_changed_disparity_is_taken_at_once():
    values = blended([5.0, 5.1, 2.9], [9, 9, 9], [4.0, 4.0, 4.0], [9, 9, 9], gain=0.5)

    assert values == pytest.approx([4.5, 5.1, 2.9])


def test_gain_one_is_the_new_frame():
    assert blended([4.5, 9.0], [9, 9], [4.0, 4.0], [9, 9], gain=1.0) == pytest.approx([4.5, 9.0])


def test_guess_of_either_frame_takes_no_part():
    values = blended(
        [4.5] * 4,
        [9] * 4,
        [4.0] * 4,
        [9] * 4,
        valid=[True, True, False, False],
        old_valid=[True, False, True, False],
        gain=0.5,
    )

    assert values == pytest.approx([4.25, 4.5, 4.5, 4.5])


def framed(level=0):
    """Two views, 60 x 80, that a border of ``level`` frames: 10 px left, 6 px below."""
    views = np.random.default_rng(0).integers(20, 256, (2, 60, 80, 3), dtype=np.uint8)
    views[:, :, :10] = views[:, -6:] = level
    return views


FRAME = np.zeros((60, 80), bool)
FRAME[:, :10] = FRAME[-6:] = True


@pytest.mark.parametrize("level", [0, 2])
def test_border_that_is_black_in_both_views_is_dropped(level):
    assert_array_equal(filters.not_black_border(*framed(level)), ~FRAME)


def test_border_that_one_view_lacks_is_kept():
    left, right = framed()
    right[FRAME] = 90

    assert filters.not_black_border(left, right).all()
    assert filters.not_black_border(right, left).all()


def test_dark_border_that_is_not_black_is_kept():
    assert filters.not_black_border(*framed(5)).all()


def test_underexposed_scene_is_kept():
    dark = np.random.default_rng(0).gamma(1.5, 2.0, (60, 80, 3)).astype(np.uint8)
    assert 0.2 < (dark.max(axis=2) <= 2).mean() < 0.8

    assert filters.not_black_border(dark, dark).all()


def test_black_thing_inside_the_image_is_kept():
    left, right = framed()
    for view in (left, right):
        view[20:40, 30:60] = 0

    assert_array_equal(filters.not_black_border(left, right), ~FRAME)


def test_curved_border_as_rectification_leaves_it_is_dropped():
    left, right = framed()
    y, x = np.mgrid[:60, :80]
    outside = np.hypot(x - 40, (y - 30) * 1.3) > 41
    for view in (left, right):
        view[FRAME] = 100
        view[outside] = 0

    assert outside.sum() > 300
    assert_array_equal(filters.not_black_border(left, right), ~outside)


def test_border_stained_by_jpeg_is_dropped_but_for_its_edge():
    random = np.random.default_rng(0)
    view = random.integers(60, 200, (60, 80, 3), dtype=np.uint8)
    view = cv2.GaussianBlur(view, (0, 0), 2.0)
    view[:, :28] = 0
    stained = cv2.imdecode(cv2.imencode(".jpg", view)[1], 1)
    assert stained[:, :28].max() > 2

    shown = filters.not_black_border(stained, stained)

    assert not shown[:, :16].any()
    assert shown[:, :28].mean() < 0.3
    assert shown[:, 28:].all()


GREY = np.full((12, 16), 90, np.uint8)
ALL = np.ones((12, 16), bool)


@pytest.mark.parametrize(
    ("apply", "arrays"),
    [
        (lambda c: filters.confident(c, 0.5), [speckled() / 20]),
        (lambda a, b: filters.left_right_consistent(a, b, 1.0), list(occluder())),
        (lambda d: filters.not_flying(d, 1.0), [speckled()]),
        (lambda d: filters.not_speckle(d, 6, 1.0), [speckled()]),
        (
            lambda d, g, v, *previous: filters.blend_over_time(d, g, v, previous, 0.5),
            [speckled(), GREY, ALL, speckled() + 0.5, GREY + 3, ALL],
        ),
        (filters.not_black_border, list(framed())),
    ],
    ids=[
        "confident",
        "left_right_consistent",
        "not_flying",
        "not_speckle",
        "blend_over_time",
        "not_black_border",
    ],
)
def test_filters_alter_no_input(apply, arrays):
    before = [a.copy() for a in arrays]

    apply(*arrays)

    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)
