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


def blended(new, new_grey, old, old_grey, **options):
    return filters.blend_over_time(
        f32([new]),
        np.array([new_grey], np.uint8),
        f32([old]),
        np.array([old_grey], np.uint8),
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


GREY = np.full((12, 16), 90, np.uint8)


@pytest.mark.parametrize(
    ("apply", "arrays"),
    [
        (lambda c: filters.confident(c, 0.5), [speckled() / 20]),
        (lambda a, b: filters.left_right_consistent(a, b, 1.0), list(occluder())),
        (lambda d: filters.not_flying(d, 1.0), [speckled()]),
        (lambda d: filters.not_speckle(d, 6, 1.0), [speckled()]),
        (
            lambda d, g, pd, pg: filters.blend_over_time(d, g, pd, pg, 0.5),
            [speckled(), GREY, speckled() + 0.5, GREY + 3],
        ),
    ],
    ids=["confident", "left_right_consistent", "not_flying", "not_speckle", "blend_over_time"],
)
def test_filters_alter_no_input(apply, arrays):
    before = [a.copy() for a in arrays]

    apply(*arrays)

    for array, copy in zip(arrays, before, strict=True):
        assert_array_equal(array, copy)
