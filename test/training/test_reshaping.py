"""Truth that was moved with the pixels still tells where the right view shows them."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from stereo_depth_ros.training.pair import Pair
from stereo_depth_ros.training.reshaping import (
    can_exchange,
    crop,
    erase,
    exchange_views,
    flip_rows,
    resize,
    shift_right_rows,
)

NAN = float("nan")


@pytest.fixture
def pair(yard):
    truth = yard.pair.disparity.astype(np.float32)
    return Pair(yard.pair.left, yard.pair.right, truth, yard.pair.visible.astype(np.float32))


def thin_out(pair, share=0.05):
    """Sparse truth, as a lidar gives it."""
    keep = np.random.default_rng(0).uniform(size=pair.size) < share
    return replace(pair, disparity=np.where(keep, pair.disparity, np.float32(NAN)))


def error_of(pair, off=0.0, rows=0.0):
    """Median difference of the left view and the right one, read where the truth says."""
    row, column = np.indices(pair.size, np.float32)
    seen = (pair.visible == 1) & np.isfinite(pair.disparity)
    # Of surfaces that have a texture, or any truth would do.
    seen &= np.abs(cv2.Sobel(pair.left[..., 1].astype(np.float32), -1, 1, 0)) > 20
    x = (column - np.nan_to_num(pair.disparity) - off).astype(np.float32)
    seen &= (x > 0) & (x < pair.size[1] - 1)
    warped = cv2.remap(
        pair.right, x, row + np.float32(rows), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    difference = np.abs(warped.astype(float) - pair.left).mean(2)[seen]
    assert difference.size > 200
    return np.median(difference)


CHANGES = {
    "nothing": lambda pair: pair,
    "larger": lambda pair: resize(pair, (300, 400)),
    "smaller": lambda pair: resize(pair, (180, 250)),
    "wider": lambda pair: resize(pair, (200, 480)),
    "crop": lambda pair: crop(pair, 31, 47, (150, 200)),
    "upside_down": flip_rows,
    "exchanged": exchange_views,
    "exchanged_and_stretched": lambda pair: resize(exchange_views(pair), (260, 300)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("is_sparse", [False, True], ids=["dense", "sparse"])
def test_right_view_warped_by_the_truth_is_the_left_one(pair, change, is_sparse):
    before = thin_out(pair, 0.2) if is_sparse else pair

    after = CHANGES[change](before)

    error = error_of(after)
    assert error < 7
    for off in (-1.5, 1.5):
        assert error_of(after, off) > 1.5 * error


def ramp(height=12, width=40, slope=0.125):
    """A plane whose disparity grows to the right, in full view."""
    disparity = np.tile(2 + slope * np.arange(width, dtype=np.float32), (height, 1))
    image = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    return Pair(image, image, disparity, np.ones_like(disparity))


@pytest.mark.parametrize("size", [(24, 80), (12, 60), (9, 30), (30, 40)])
def test_truth_of_a_plane_is_exact_at_every_size(size):
    scaled = resize(ramp(), size)

    scale = size[1] / 40
    place = (np.arange(size[1]) + 0.5) / scale - 0.5
    expected = scale * (2 + 0.125 * place.clip(0, 39))
    assert scaled.left.shape == scaled.right.shape == (*size, 3)
    assert_allclose(scaled.disparity, np.tile(expected, (size[0], 1)), rtol=1e-5)
    assert scaled.disparity.dtype == np.float32


def test_truth_is_not_mixed_across_an_edge_nor_with_what_is_unknown():
    disparity = np.full((8, 12), 4, np.float32)
    disparity[:, 6:9] = 20
    disparity[:, 9:] = NAN

    scaled = resize(replace(ramp(8, 12), disparity=disparity), (16, 24)).disparity

    assert set(scaled[np.isfinite(scaled)].tolist()) == {8.0, 40.0}
    assert_array_equal(scaled[0], [8.0] * 12 + [40.0] * 6 + [NAN] * 6)


def test_points_of_sparse_truth_move_to_their_pixel_and_the_nearer_one_hides_the_other():
    disparity = np.full((8, 12), NAN, np.float32)
    disparity[2, 4], disparity[2, 5], disparity[7, 11] = 3, 5, 2
    visible = np.full((8, 12), NAN, np.float32)
    visible[2, 4], visible[2, 5] = 1, 0

    scaled = resize(replace(ramp(8, 12), disparity=disparity, visible=visible), (4, 6))

    assert {(y, x): scaled.disparity[y, x] for y, x in np.argwhere(scaled.disparity > 0)} == {
        (1, 2): 2.5,
        (3, 5): 1.0,
    }
    assert scaled.visible[1, 2] == 0
    assert np.isnan(scaled.visible[3, 5])


def test_crop_hides_what_its_right_view_no_longer_shows():
    whole = ramp(slope=0)

    part = crop(whole, 3, 10, (6, 20))

    assert_array_equal(part.left, whole.left[3:9, 10:30])
    assert_array_equal(part.right, whole.right[3:9, 10:30])
    assert (part.disparity == 2).all()
    assert_array_equal(part.visible, np.tile([0.0] * 2 + [1.0] * 18, (6, 1)))


def test_exchanged_plane_has_the_truth_of_its_right_view():
    exchanged = exchange_views(ramp())

    # d(x) = 2 + x / 8 at the left; x_right = x - d is 7/8 x - 2.
    column = np.arange(40)
    left = (column + 2) / 0.875
    expected = np.where(left <= 39, left - column, NAN)[::-1]
    assert_allclose(exchanged.disparity, np.tile(expected, (12, 1)), rtol=1e-5)
    assert_array_equal(exchanged.visible, np.where(np.isfinite(exchanged.disparity), 1, NAN))
    assert_array_equal(exchanged.left, ramp().right[:, ::-1])
    assert_array_equal(exchanged.right, ramp().left[:, ::-1])


def test_what_hides_the_background_from_the_right_view_keeps_its_truth_there():
    disparity = np.full((4, 30), 2, np.float32)
    disparity[:, 14:20] = 8
    exchanged = exchange_views(
        Pair(*np.zeros((2, 4, 30, 3), np.uint8), disparity, np.full((4, 30), NAN, np.float32))
    )

    row = exchanged.disparity[0, ::-1]
    assert (row[6:12] == 8).all()
    assert (row[:6] == 2).all()
    # Six pixels of the background that only the right view shows.
    assert np.isnan(row[12:18]).all()
    assert (row[18:28] == 2).all()
    assert np.isnan(row[28:]).all()


def test_points_that_only_the_left_view_sees_are_no_truth_of_the_right_one():
    disparity = np.full((4, 30), NAN, np.float32)
    disparity[1, 12], disparity[2, 12] = 5, 5
    visible = np.full((4, 30), NAN, np.float32)
    visible[1, 12], visible[2, 12] = 1, 0

    exchanged = exchange_views(replace(ramp(4, 30), disparity=disparity, visible=visible))

    assert np.argwhere(np.isfinite(exchanged.disparity)).tolist() == [[1, 30 - 1 - 7]]


def test_sparse_truth_is_exchanged_only_where_a_mask_says_what_both_views_see(pair):
    sparse = thin_out(pair)

    assert can_exchange(pair)
    assert can_exchange(sparse)
    assert can_exchange(replace(pair, visible=np.full_like(pair.visible, NAN)))
    assert not can_exchange(replace(sparse, visible=np.full_like(pair.visible, NAN)))


@pytest.mark.parametrize("rows", [-1.0, 0.5, 3.0])
def test_rows_of_the_right_view_move_and_the_truth_stays(pair, rows):
    shifted = shift_right_rows(pair, rows)

    assert_array_equal(shifted.disparity, pair.disparity)
    assert_array_equal(shifted.left, pair.left)
    assert error_of(shifted, rows=rows) < 7
    assert error_of(shifted) > error_of(shifted, rows=rows)


def test_erased_patch_is_not_seen_any_more_but_has_its_truth():
    whole = ramp(slope=0)

    erased = erase(whole, [(2, 10, 5, 8)])

    colour = whole.right.reshape(-1, 3).mean(0).round()
    assert (erased.right[2:7, 10:18] == colour).all()
    outside = np.ones((12, 40), bool)
    outside[2:7, 10:18] = False
    assert_array_equal(erased.right[outside], whole.right[outside])
    assert_array_equal(erased.disparity, whole.disparity)
    hidden = np.zeros((12, 40), bool)
    hidden[2:7, 12:20] = True
    assert_array_equal(erased.visible == 0, hidden)
