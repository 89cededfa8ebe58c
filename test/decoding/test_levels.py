from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.decoding.levels import Levels, to_rgb
from stereo_depth_ros.decoding.samples import Samples
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.scenes.planar import render, yard_scene

CAMERA = StereoCamera(480, 360, 345.6, 345.6, 239.5, 179.5, 239.5, 0.12)


def grey(values) -> Samples:
    return Samples(np.asarray(values, np.uint16), cv2.COLOR_GRAY2RGB)


def ramp(bits: int, height: int = 48, width: int = 64) -> np.ndarray:
    return np.linspace(0, 2**bits - 1, height * width).astype(np.uint16).reshape(height, width)


def levels_of(*views: np.ndarray, levels: Levels | None = None) -> list[np.ndarray]:
    return [image[..., 0] for image in to_rgb([grey(view) for view in views], levels)]


# -- one pair ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 9, 10, 12, 14, 16])
def test_the_brightest_of_any_bit_depth_become_255(bits):
    left, right = levels_of(ramp(bits), ramp(bits))
    np.testing.assert_array_equal(left, ramp(bits) >> (bits - 8))
    np.testing.assert_array_equal(right, left)


def test_three_channels_are_shifted_alike():
    colour = np.dstack([ramp(12), ramp(12) // 2, ramp(12) // 4])
    (image,) = to_rgb([Samples(colour, cv2.COLOR_BGR2RGB)])
    np.testing.assert_array_equal(image, colour[..., ::-1] >> 4)


def test_images_of_8_bits_stay_as_they_are_beside_one_of_16():
    small = np.arange(48, dtype=np.uint8).reshape(6, 8)
    images = to_rgb([Samples(small, cv2.COLOR_GRAY2RGB), grey(ramp(12))])
    np.testing.assert_array_equal(images[0][..., 0], small)
    np.testing.assert_array_equal(images[1][..., 0], ramp(12) >> 4)


@pytest.mark.parametrize("side", [0, 1])
@pytest.mark.parametrize("bits", [10, 12])
def test_a_stuck_pixel_changes_itself_alone(bits, side):
    pair = [ramp(bits), ramp(bits)]
    pair[side][20, 30] = 65535
    images = levels_of(*pair)
    expected = [view >> (bits - 8) for view in pair]
    expected[side][20, 30] = 255
    np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("side", [0, 1])
def test_the_brighter_view_decides_for_both(side):
    pair = [ramp(10), ramp(10)]
    pair[side] = ramp(12)
    images = levels_of(*pair)
    np.testing.assert_array_equal(images, [view >> 4 for view in pair])


def test_a_colour_on_every_second_row_and_column_is_met():
    # Red pixels of a mosaic; every fourth row and column would meet one colour alone.
    mosaic = np.full((480, 640), 200, np.uint16)
    mosaic[1::2, 1::2] = 4000
    (image,) = levels_of(mosaic)
    assert (image[0, 0], image[1, 1]) == (200 >> 4, 4000 >> 4)


# -- depth, by value -----------------------------------------------------------------------------


@cache
def yard():
    """Both views in grey levels with noise, and the true depth."""
    pair = render(yard_scene(), CAMERA)
    noise = np.random.default_rng(0)
    views = [
        cv2.cvtColor(view, cv2.COLOR_RGB2GRAY) + noise.normal(0, 1, view.shape[:2])
        for view in (pair.left, pair.right)
    ]
    return views, pair.depth


def deep_pair(bits: int) -> list[np.ndarray]:
    top = 2**bits - 1
    return [np.clip(np.rint(view * top / 255), 0, top).astype(np.uint16) for view in yard()[0]]


def score(pair: list[np.ndarray]) -> tuple[float, float]:
    """Valid share and 95th percentile of the relative depth error."""
    truth = yard()[1]
    pipeline = StereoPipeline(open_engine("sgbm"))
    depth = pipeline.process(*to_rgb([grey(v) for v in pair]), CAMERA, {Output.DEPTH}).outputs[
        Output.DEPTH
    ]
    valid = np.isfinite(depth) & np.isfinite(truth)
    error = np.abs(depth[valid] - truth[valid]) / truth[valid]
    return float(valid.mean()), float(np.percentile(error, 95))


@pytest.mark.parametrize("bits", [10, 12])
def test_neither_a_stuck_pixel_nor_a_lamp_costs_depth(bits):
    share, error = score(deep_pair(bits))
    assert share > 0.6
    assert error < 0.1

    stuck, lamp = deep_pair(bits), deep_pair(bits)
    stuck[0][100, 100] = 65535
    for view, column in zip(lamp, (200, 190), strict=True):
        view[40:60, column : column + 20] = 65535

    for pair in (stuck, lamp):
        assert score(pair) == (pytest.approx(share, abs=0.01), pytest.approx(error, abs=0.01))


# -- from pair to pair ---------------------------------------------------------------------------


def test_a_lamp_that_comes_and_goes_changes_no_brightness():
    levels, scene = Levels(), ramp(12) // 2
    lit = scene.copy()
    lit[:12, :10] = 65535  # 4 % of the pixels
    before = levels_of(scene, scene, levels=levels)[0]
    np.testing.assert_array_equal(before, scene >> 3)
    for pair in 3 * [(lit, lit), (lit, scene), (scene, lit), (lit, lit), (scene, scene)]:
        np.testing.assert_array_equal(levels_of(*pair, levels=levels)[0][12:], before[12:])


def test_brightness_around_a_power_of_two_does_not_flicker():
    levels = Levels()
    # 99 % lie below 2030 + offset, now below and now above 2048.
    scenes = [ramp(12) // 2 + np.uint16(offset) for offset in (0, 40, 20, 60)]
    assert {levels.shift([scenes[pair % 4]]) for pair in range(100)} == {3}
    assert {Levels().shift([scene]) for scene in scenes} == {3, 4}


def test_light_that_stays_is_followed_after_ten_pairs():
    levels, dim = Levels(), ramp(12) // 4
    bright = dim.copy()
    bright[:4] = 4000  # 8 % of the pixels
    assert levels.shift([dim, dim]) == 2
    shifts = [levels.shift([bright, bright]) for _ in range(12)]
    assert shifts == 9 * [2] + 3 * [4]
    assert [levels.shift([dim, dim]) for _ in range(12)] == 9 * [4] + 3 * [2]


def test_a_scene_that_turns_bright_is_followed_at_once():
    levels = Levels()
    assert levels.shift([ramp(10)]) == 2
    assert levels.shift([ramp(12)]) == 4


def test_a_dark_scene_of_one_pair_is_waited_for():
    levels = Levels()
    assert levels.shift([ramp(12)]) == 4
    assert levels.shift([np.zeros((48, 64), np.uint16)]) == 4
    assert levels.shift([ramp(12)]) == 4


def test_another_camera_starts_anew():
    levels = Levels()
    assert levels.shift([ramp(12)]) == 4
    levels.reset()
    assert levels.shift([ramp(10)]) == 2
