import numpy as np
import pytest
from numpy.testing import assert_array_equal
from test_reshaping import error_of

from stereo_depth_ros.training import augmentation
from stereo_depth_ros.training.appearance import Look, change_look, draw_look
from stereo_depth_ros.training.augmentation import augment
from stereo_depth_ros.training.pair import Pair


@pytest.fixture
def pair(yard):
    truth = yard.pair.disparity.astype(np.float32)
    return Pair(yard.pair.left, yard.pair.right, truth, yard.pair.visible.astype(np.float32))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(40, 200, (32, 48, 3), np.uint8)


def changed(image, **look):
    return change_look(image, Look(**look), np.random.default_rng(1))


def test_look_without_changes_changes_nothing(image):
    assert_array_equal(changed(image), image)


def test_brightness_contrast_and_gamma_are_those_of_their_formulas(image):
    x = image / 255

    for look, expected in (
        ({"brightness": 0.5}, 0.5 * x),
        ({"contrast": 0.5}, 0.5 * x + 0.5 * x.mean()),
        ({"gamma": 1.4}, x**1.4),
    ):
        assert np.abs(changed(image, **look) - 255 * expected).max() <= 1


def test_saturation_of_0_is_grey_and_a_turn_of_hue_by_120_degrees_moves_the_channels(image):
    grey = changed(image, saturation=0.0)

    assert np.ptp(grey.astype(int), axis=2).max() == 0
    assert np.abs(grey[..., 0] - image @ [0.299, 0.587, 0.114]).max() <= 1
    # Red becomes green, green blue, blue red.
    assert np.abs(changed(image, hue=120.0).astype(int) - np.roll(image, 1, axis=2)).max() <= 2


def test_blur_noise_and_compression_have_their_strength(image):
    flat = np.full((64, 64, 3), 128, np.uint8)

    assert changed(image, blur=1.0).std() < 0.5 * image.std()
    assert changed(flat, noise=0.02).std() == pytest.approx(0.02 * 255, rel=0.05)
    grey = changed(image, saturation=0.0).astype(int)  # colours are stored at half the size
    rough, fine = (
        np.abs(changed(image, saturation=0.0, quality=q) - grey).mean() for q in (40, 95)
    )
    assert rough > 2 * fine > 0
    assert np.abs(changed(flat, quality=60).astype(int) - flat).max() <= 1


def test_drawn_looks_differ_and_are_decided_by_their_generator():
    looks = [draw_look(np.random.default_rng(seed)) for seed in (0, 0, 1)]

    assert looks[0] == looks[1] != looks[2]


@pytest.mark.parametrize("seed", range(8))
def test_truth_of_a_variation_tells_where_the_right_view_shows_it(pair, seed, monkeypatch):
    # Views of one colour and one height can be compared.
    monkeypatch.setattr(augmentation, "_APART", 0)
    monkeypatch.setattr(augmentation, "_MAX_SHIFT", 0)
    monkeypatch.setattr(augmentation, "draw_look", lambda random: Look())

    variation = augment(pair, (160, 224), np.random.default_rng(seed))

    assert variation.left.shape == variation.right.shape == (160, 224, 3)
    assert variation.disparity.shape == variation.visible.shape == (160, 224)
    error = error_of(variation)
    for off in (-2.0, 2.0):
        assert error_of(variation, off) > 1.5 * error


def test_generator_decides_the_variation(pair):
    first, again, other = (augment(pair, (96, 128), np.random.default_rng(s)) for s in (3, 3, 4))

    for name, value in vars(first).items():
        assert_array_equal(getattr(again, name), value)
    assert not np.array_equal(first.left, other.left)


def test_pair_smaller_than_the_crop_is_enlarged_to_it(pair):
    assert augment(pair, (288, 352), np.random.default_rng(0)).size == (288, 352)


def test_tiny_pair_is_refused():
    dot = Pair(*np.zeros((2, 4, 4, 3), np.uint8), *np.zeros((2, 4, 4), np.float32))

    with pytest.raises(ValueError, match="a pair of 4x4 px is too small"):
        augment(dot, (32, 32), np.random.default_rng(0))
