"""Telling one view from two."""

import cv2
import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.same_view import Views, compare_views
from stereo_depth_ros.scenes.planar import Patch, plane_scene, render, yard_scene

CAMERA = StereoCamera(480, 360, 345.6, 345.6, 239.5, 179.5, 239.5, 0.12)


@pytest.fixture(scope="module")
def pair():
    return render(yard_scene(), CAMERA)


def noisy(image, sigma, seed):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def moved(image, dx, dy):
    matrix = np.float32([[1, 0, dx], [0, 1, dy]])
    size = image.shape[1::-1]
    return cv2.warpAffine(
        image, matrix, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )


def test_one_image_twice_is_one_view(pair):
    assert compare_views(pair.left, pair.left.copy()) is Views.SAME


@pytest.mark.parametrize("sigma", [1, 2, 5])
def test_noise_makes_no_second_view(pair, sigma):
    views = noisy(pair.left, sigma, 1), noisy(pair.left, sigma, 2)

    assert compare_views(*views) is Views.SAME
    assert compare_views(pair.left, views[0]) is Views.SAME


@pytest.mark.parametrize(
    "develop",
    [lambda x: 0.9 * x, lambda x: 0.7 * x, lambda x: x / 2 + 60, lambda x: 255 * (x / 255) ** 0.7],
    ids=["gain_0.9", "gain_0.7", "less_contrast", "gamma"],
)
def test_exposure_makes_no_second_view(pair, develop):
    views = noisy(pair.left, 2, 1), noisy(develop(pair.left.astype(float)), 2, 2)

    assert compare_views(*views) is Views.SAME
    assert compare_views(pair.left, noisy(develop(pair.right.astype(float)), 2, 2)) is (
        Views.DIFFERENT
    )


def test_compression_makes_no_second_view(pair):
    views = [
        cv2.imdecode(cv2.imencode(".jpg", noisy(pair.left, 2, s), [1, 80])[1], 1) for s in (1, 2)
    ]

    assert compare_views(*views) is Views.SAME


def test_stereo_pair_is_two_views(pair):
    assert compare_views(pair.left, pair.right) is Views.DIFFERENT
    assert compare_views(noisy(pair.left, 2, 1), noisy(pair.right, 2, 2)) is Views.DIFFERENT


@pytest.mark.parametrize("shift", [(0.05, 0.0), (0.0, 0.05), (-0.1, 0.05)])
def test_far_landscape_differs_by_the_small_errors_of_two_cameras(pair, shift):
    views = noisy(pair.left, 2, 1), noisy(moved(pair.left, *shift), 2, 2)

    assert compare_views(*views) is Views.DIFFERENT


def test_far_wall_before_ideal_cameras_differs_by_its_parallax():
    # 0.04 px at a kilometre
    wall = render(plane_scene(1000.0), CAMERA)

    assert compare_views(noisy(wall.left, 2, 1), noisy(wall.right, 2, 2)) is Views.DIFFERENT


def test_one_near_thing_before_infinity_makes_two_views():
    scene = [
        *plane_scene(1e7),
        Patch((-0.4, -0.3, 2.0), (0.8, 0, 0), (0, 0.6, 0), (90, 130, 160), 0.9, 3),
    ]
    pair = render(scene, CAMERA)

    assert compare_views(noisy(pair.left, 2, 1), noisy(pair.right, 2, 2)) is Views.DIFFERENT


@pytest.mark.parametrize("level", [0, 255])
@pytest.mark.parametrize("noise", [0, 4])
def test_view_that_shows_nothing_is_no_copy_of_the_other(pair, level, noise):
    random = np.random.default_rng(3).integers(0, noise + 1, pair.left.shape)
    nothing = np.clip(np.abs(level - random), 0, 255).astype(np.uint8)

    assert compare_views(pair.left, nothing) is Views.BLANK
    assert compare_views(nothing, pair.right) is Views.BLANK


def test_blank_wall_with_noise_says_nothing():
    blank = np.full((120, 160, 3), 128, np.uint8)

    assert compare_views(noisy(blank, 2, 1), noisy(blank, 2, 2)) is Views.BLANK


def test_equal_images_without_texture_are_no_proof():
    blank = np.full((120, 160, 3), 128, np.uint8)

    assert compare_views(blank, blank) is Views.INDISTINCT


def test_single_spot_of_texture_is_no_proof(pair):
    views = []
    for seed in (1, 2):
        view = np.full_like(pair.left, 128)
        view[160:200, 220:260] = pair.left[200:240, 200:240]
        views.append(noisy(view, 2, seed))

    assert compare_views(*views) is Views.INDISTINCT


def test_static_text_before_a_blank_wall_is_no_proof():
    views = []
    for seed in (1, 2):
        view = np.full((360, 480, 3), 128, np.uint8)
        for row in (30, 345):
            cv2.putText(view, "CAM 1 2026-01-01 12:00:00 REC", (5, row), 0, 0.9, (255,) * 3, 2)
        views.append(noisy(view, 2, seed))

    assert compare_views(*views) is Views.INDISTINCT


def test_mask_before_both_views_in_fog_is_no_proof(pair):
    mask = np.zeros((360, 480), np.uint8)
    cv2.ellipse(mask, (240, 180), (235, 175), 0, 0, 360, 255, -1)
    views = []
    for seed in (1, 2):
        fog = noisy(np.full_like(pair.left, 150), 1, seed)
        views.append(cv2.bitwise_and(fog, fog, mask=mask))

    assert compare_views(*views) is Views.BLANK


@pytest.mark.parametrize(
    ("size", "two", "one"),
    [
        ((7, 5), Views.DIFFERENT, Views.INDISTINCT),
        ((64, 48), Views.DIFFERENT, Views.SAME),
    ],
)
def test_small_images_are_compared(size, two, one):
    random = np.random.default_rng(0)
    views = random.integers(0, 256, (2, size[1], size[0], 3), dtype=np.uint8)

    assert compare_views(*views) is two
    assert compare_views(views[0], views[0]) is one


def test_image_of_one_pixel_is_blank():
    pixel = np.full((1, 1, 3), 9, np.uint8)

    assert compare_views(pixel, pixel) is Views.BLANK
