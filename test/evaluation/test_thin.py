from __future__ import annotations

import numpy as np
import pytest

from stereo_depth_ros.evaluation.thin import thin_structures

HEIGHT, WIDTH = 120, 200  # 2.5 % are 5 px
NAN = np.nan


def wall(disparity: float = 10.0) -> np.ndarray:
    return np.full((HEIGHT, WIDTH), disparity, np.float32)


def floor(slope: float = 1.5) -> np.ndarray:
    return wall(0) + slope * np.arange(HEIGHT, dtype=np.float32)[:, None]


def check(truth: np.ndarray, thin: np.ndarray) -> None:
    np.testing.assert_array_equal(thin_structures(truth), thin)


@pytest.mark.parametrize("turned", [False, True], ids=["pole", "wire"])
@pytest.mark.parametrize(
    ("width", "step", "thin"),
    [
        (3, 20.0, True),
        (1, 4.5, True),
        (3, 4.0, False),
        (3, -20.0, False),  # a slit
        (4, 20.0, True),
        (5, 20.0, False),
        (40, 20.0, False),  # a box
    ],
)
def test_what_is_narrow_and_well_in_front_is_thin(turned, width, step, thin):
    truth, expected = wall(30), np.zeros((HEIGHT, WIDTH), bool)
    across = np.s_[50 : 50 + width, :] if turned else np.s_[:, 50 : 50 + width]
    truth[across] += step
    expected[across] = thin

    check(truth, expected)


def test_line_is_a_share_of_the_width_rounded_up_to_an_odd_number():
    truth = np.full((40, 640), 10, np.float32)  # 16 px, so 17
    truth[:, 100:116] = truth[:, 300:317] = 30

    expected = np.zeros(truth.shape, bool)
    expected[:, 100:116] = True
    check(truth, expected)


def test_pole_in_front_of_a_steep_floor_is_all_that_is_thin_there():
    truth = floor()
    truth[20:100, 60:63] = 170

    expected = np.zeros(truth.shape, bool)
    expected[20:100, 60:63] = True
    check(truth, expected)


def test_pole_before_the_sky_is_thin():
    truth = wall(0)
    truth[30:, 60:63] = 5

    check(truth, truth == 5)


def test_what_leaves_the_image_may_be_wide():
    truth = wall()
    truth[:, :3] = truth[:, -3:] = 30

    check(truth, np.zeros(truth.shape, bool))


def test_unknown_pixels_beside_a_pole_neither_hide_it_nor_are_thin():
    truth = wall()
    truth[:, 60:63] = 30
    truth[:, 58:60] = truth[:, 63:64] = NAN

    check(truth, truth == 30)


def test_hole_in_a_pole_is_not_thin_and_the_rest_of_it_is():
    truth = wall()
    truth[:, 60:63] = 30
    truth[40:50, 61] = NAN

    check(truth, truth == 30)


def test_pole_whose_sides_are_unknown_is_not_thin():
    truth = wall()
    truth[:, 60:63] = 30
    truth[:, 55:60] = truth[:, 63:68] = NAN
    check(truth, np.zeros(truth.shape, bool))

    truth[:, 55] = 10  # one side known again, but not the other
    check(truth, np.zeros(truth.shape, bool))

    truth[:, 67] = 10
    check(truth, truth == 30)


def test_sparse_truth_of_a_slanted_plane_holds_nothing_thin():
    truth = floor() + 0.8 * np.arange(WIDTH, dtype=np.float32)
    truth[np.random.default_rng(0).random(truth.shape) < 0.7] = NAN

    check(truth, np.zeros(truth.shape, bool))


def test_nothing_known_is_nothing_thin():
    check(wall(NAN), np.zeros((HEIGHT, WIDTH), bool))
