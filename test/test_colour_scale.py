import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros.colour_scale import (
    CONFIDENCE,
    UNKNOWN,
    ColourScale,
    scale_depth,
    scale_disparity,
)


def ramp(low, high):
    return np.linspace(low, high, 100, dtype=np.float32).reshape(4, 25)


def colour_at(colour_map, level):
    return cv2.applyColorMap(np.uint8([[level]]), colour_map)[0, 0, ::-1]


def test_large_disparity_has_the_last_colour_and_small_the_first():
    picture = scale_disparity(ramp(0, 60)).paint(ramp(0, 60))

    assert picture.shape == (4, 25, 3)
    assert picture.dtype == np.uint8
    assert_array_equal(picture[-1, -1], colour_at(cv2.COLORMAP_TURBO, 255))
    assert_array_equal(picture[0, 0], colour_at(cv2.COLORMAP_TURBO, 0))


def test_near_depth_has_the_last_colour_and_far_the_first():
    depth = ramp(1, 20)
    picture = scale_depth(depth).paint(depth)

    assert_array_equal(picture[0, 0], colour_at(cv2.COLORMAP_PLASMA, 255))
    assert_array_equal(picture[-1, -1], colour_at(cv2.COLORMAP_PLASMA, 0))


def test_depth_is_spread_by_ratios():
    scale = ColourScale(1.0, 100.0, "m", cv2.COLORMAP_PLASMA, is_logarithmic=True)

    assert scale.locate(np.array([0.5, 1, 10, 100, 900])).tolist() == [0, 0, 0.5, 1, 1]


@pytest.mark.parametrize(
    "scale", [scale_disparity(ramp(0, 60)), scale_depth(ramp(0.5, 60)), CONFIDENCE]
)
def test_unknown_is_grey_and_no_scale_holds_that_grey(scale):
    values = ramp(scale.low, scale.high)
    values[1, 1:4] = np.nan, np.inf, -np.inf
    known = np.ones(values.shape, bool)
    known[2, 3] = False

    picture = scale.paint(values, known)

    assert_array_equal(picture[1, 1:4], [UNKNOWN] * 3)
    assert_array_equal(picture[2, 3], UNKNOWN)
    whole = scale.paint(ramp(scale.low, scale.high)).reshape(-1, 3).astype(int)
    assert np.abs(whole - UNKNOWN).max(axis=1).min() > 20


def test_single_values_far_off_do_not_stretch_the_colours():
    disparity = np.tile(ramp(0, 60), (2, 2))
    wild = disparity.copy()
    wild[0, 0] = 1e6

    assert scale_disparity(wild).high < 62


def test_nothing_known_is_grey_all_over():
    nothing = np.full((4, 5), np.nan, np.float32)

    for scale in (scale_disparity(nothing), scale_depth(nothing)):
        assert (scale.paint(nothing) == UNKNOWN).all()
        assert scale.low < scale.high


def test_depth_out_of_limits_does_not_count():
    depth = ramp(2, 8)
    with_limits = depth.copy()
    with_limits[0, :2] = np.inf, -np.inf

    assert scale_depth(with_limits).high == pytest.approx(scale_depth(depth).high, rel=0.01)


def test_flat_maps_have_one_colour_and_a_scale_with_ticks():
    flat = np.full((4, 5), 7, np.float32)

    for scale in (scale_disparity(flat), scale_depth(flat)):
        assert len(np.unique(scale.paint(flat).reshape(-1, 3), axis=0)) == 1
    assert len(scale_depth(flat).ticks) >= 2


def test_ticks_of_a_scale_by_ratios_grow_and_of_a_short_one_do_not():
    scale = ColourScale(0.9, 15.0, "m", cv2.COLORMAP_PLASMA, is_logarithmic=True)

    assert scale.ticks == [1, 1.5, 2, 3, 5, 7, 10, 15]
    assert scale_depth(ramp(2, 3)).ticks == pytest.approx([2.2, 2.4, 2.6, 2.8])
    assert CONFIDENCE.ticks == [0, 0.2, 0.4, 0.6, 0.8, 1]
