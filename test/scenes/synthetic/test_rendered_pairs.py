"""What is seen where, from both cameras; single surfaces are in test_surfaces.py."""

import functools
import importlib
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from handmade import FACING, scene, surface, together, turned
from ray_geometry import first_hit

from stereo_depth_ros.scenes.synthetic import TextureBank, casting, render, shading
from stereo_depth_ros.scenes.synthetic.dice import Dice
from stereo_depth_ros.scenes.synthetic.layout import draw
from stereo_depth_ros.scenes.synthetic.textures import draw_bank

HEIGHT, WIDTH, FOCAL = 64, 120, 100.0
X = np.arange(WIDTH) - (WIDTH - 1) / 2
Y = np.arange(HEIGHT)[:, None] - (HEIGHT - 1) / 2
SEEDS = (0, 3, 2)


@pytest.fixture(scope="module")
def bank():
    return draw_bank(0, 4)


def shown(what, bank):
    return render(what, bank, HEIGHT, WIDTH)


def plain(scenes):
    """Return the scenes matte, evenly lit and with whole cards and opaque panes."""
    material = scenes.materials
    zero = torch.zeros_like(material.gloss)
    return replace(
        scenes,
        cards=replace(scenes.cards, pattern=torch.zeros_like(scenes.cards.pattern)),
        panes=replace(scenes.panes, pattern=torch.zeros_like(scenes.panes.pattern)),
        materials=replace(material, gloss=zero, mirror=zero),
        opacity=torch.ones_like(scenes.opacity),
        dots=torch.zeros_like(scenes.dots),
    )


@pytest.fixture(scope="module", params=SEEDS)
def drawn(request, bank):
    """A random scene, plain, and what it is rendered as."""
    what = plain(draw(Dice(request.param), 1, HEIGHT, WIDTH, bank.count))
    return what, shown(what, bank)


def facing(disparity, left, right, rows=None):
    """Return a card facing the cameras that fills ``left`` <= column < ``right``."""
    scale = 1 / disparity
    half = (right - left) / 2
    return surface(
        ((left + half - WIDTH / 2) * scale, 0.0, FOCAL * scale),
        (half * scale, (rows or 3 * HEIGHT) / 2 * scale, 1.0),
    )


def wall(disparity):
    return surface((0.0, 0.0, FOCAL / disparity))


def warped(image, disparity):
    """Return the right image at the left's matches, float64 (H, W, 3)."""
    column = np.clip(np.arange(WIDTH) - disparity, 0, WIDTH - 1)
    low = np.minimum(np.floor(column).astype(int), WIDTH - 2)
    share = (column - low)[..., None]
    rows = np.arange(HEIGHT)[:, None]
    return (1 - share) * image[rows, low] + share * image[rows, low + 1]


def maps(pair):
    """Return left, right (H, W, 3), disparity and visibility (H, W) of a batch of one."""
    left, right = (image[0].permute(1, 2, 0).double().numpy() for image in (pair.left, pair.right))
    return left, right, pair.disparity[0, 0].double().numpy(), pair.visible[0, 0].numpy()


def test_truth_of_a_whole_scene_is_that_of_the_ray_geometry(drawn):
    what, pair = drawn
    disparity = maps(pair)[2]

    expected = first_hit(what, 0, X, Y, 0.0)

    close = np.abs(disparity - expected) < 0.01
    # Rounding may decide a ray that grazes an edge.
    assert (~close).sum() <= 5
    np.testing.assert_array_equal(disparity[close] == 0, expected[close] == 0)


def test_visible_is_what_the_right_camera_meets_at_the_same_place(drawn):
    what, pair = drawn
    _, _, disparity, visible = maps(pair)
    match = np.arange(WIDTH) - disparity

    right = first_hit(what, 0, X - disparity, Y, 1.0)

    same = (np.abs(right - disparity) < 0.01) & (match >= -0.5)
    assert same.mean() < 0.97
    # They may differ next to an occluder, since the right view is asked at its pixel centres.
    assert (visible != same).mean() < 0.02
    assert (visible & (match < -0.5)).sum() == 0
    assert (np.abs(right - disparity)[visible] < 0.01).mean() > 0.98


def test_visible_points_look_alike_in_both_views(drawn):
    left, right, disparity, visible = maps(drawn[1])

    error = np.abs(left - warped(right, disparity)).mean(axis=2)

    inside = np.arange(WIDTH) - disparity >= 0
    hidden = ~visible & inside
    assert hidden.sum() > 20
    assert error[visible].mean() < 0.025
    assert error[hidden].mean() > 3 * error[visible].mean()


@pytest.mark.parametrize("shift", [-0.5, 0.5])
def test_truth_is_aligned_with_the_images_to_less_than_half_a_pixel(bank, shift):
    slanted = surface((0.0, 0.0, 20.0), rotation=turned(0.3, 0.5, 0.0) @ FACING)
    left, right, disparity, visible = maps(shown(scene(FOCAL, planes=slanted), bank))

    def error(truth):
        return np.abs(left - warped(right, truth))[visible].mean()

    assert error(disparity + shift) > 2 * error(disparity)


@pytest.mark.parametrize("far", [5.0, 5.4])
@pytest.mark.parametrize("near", [20.0, 20.3])
def test_card_hides_a_strip_of_the_wall_as_wide_as_the_disparities_differ(bank, near, far):
    left, right = 60, 90
    pair = shown(scene(FOCAL, planes=wall(far), cards=facing(near, left, right)), bank)

    expected = np.full((HEIGHT, WIDTH), far)
    expected[:, left:right] = near
    np.testing.assert_allclose(pair.disparity[0, 0], expected, atol=0.01)
    hidden = ~pair.visible[0, 0].numpy()
    assert (hidden == hidden[0]).all()
    column = np.arange(WIDTH)
    strip = (column >= left - (near - far)) & (column < left)
    outside = column < far - 0.5
    apart = np.flatnonzero(hidden[0] != (strip | outside))
    edges = np.array([left - (near - far), far - 0.5])
    assert all(np.abs(edges - x).min() <= 1 for x in apart)
    assert abs(hidden[0, 20:].sum() - (near - far)) <= 1


def test_sky_beside_a_card_is_hidden_as_far_as_the_card_is_near(bank):
    pair = shown(scene(FOCAL, cards=facing(12.0, 60, 90)), bank)

    sky = pair.disparity[0, 0].numpy() == 0
    assert sky[:, :60].all()
    assert sky[:, 90:].all()
    hidden = ~pair.visible[0, 0].numpy()
    assert hidden[:, 49:60].all()
    assert not hidden[:, :48].any()
    assert not hidden[:, 60:].any()


def test_empty_scene_is_sky_without_disparity(bank):
    left, right, disparity, visible = maps(shown(scene(), bank))

    assert (disparity == 0).all()
    assert visible.all()
    np.testing.assert_array_equal(left, right)
    np.testing.assert_allclose(left, np.broadcast_to([0.2, 0.4, 0.9], left.shape), atol=0.05)


def test_right_view_shows_a_card_further_left_by_its_disparity(bank):
    left, right, _, _ = maps(shown(scene(FOCAL, cards=facing(20.0, 60, 90)), bank))

    def columns(image):
        different = np.abs(image - [0.2, 0.4, 0.9]).max(axis=(0, 2)) > 0.1
        return np.flatnonzero(different)[[0, -1]].tolist()

    assert columns(left) == [60, 89]
    assert columns(right) == [40, 69]


@pytest.mark.parametrize("disparity", [19.75, 20.0, 20.25, 20.4, 20.5])
def test_silhouettes_lie_at_fractions_of_a_pixel(disparity, bank):
    plain = TextureBank([np.full((512, 512, 3), 128, np.uint8)] * 4)
    what = scene(FOCAL, planes=wall(5.0), cards=facing(disparity, 60, 90))
    what.materials.tint[:, 0] = 0.1  # of the wall
    left, right, _, _ = maps(shown(what, plain))

    def edges(image, middle):
        red = image[HEIGHT // 2, :, 0]
        cover = (red - red[0]) / (red[middle] - red[0])
        return middle - cover[:middle].sum(), middle + cover[middle:].sum()

    for seen, there in zip(edges(left, 75), edges(right, 55), strict=True):
        # Three rays a pixel place an edge to a sixth of it.
        assert abs(seen - there - disparity) < 1 / 6 + 0.01


def test_order_of_the_surfaces_does_not_matter(bank):
    near, far = facing(20.0, 60, 90), facing(10.0, 40, 80)

    one, other = (
        shown(scene(FOCAL, cards=together(*cards)), bank).disparity
        for cards in ((near, far), (far, near))
    )

    assert torch.equal(one, other)


def test_pane_has_its_own_disparity_and_lets_the_wall_shine_through(bank):
    white, black = (np.full((512, 512, 3), 128, np.uint8) for _ in range(2))
    plain_bank = TextureBank([white, black])
    what = scene(FOCAL, planes=wall(5.0), panes=facing(20.0, 60, 90))
    what.materials.tint[0, 0], what.materials.tint[0, -1] = 0.8, 0.2
    what.opacity[:] = 0.25

    left, _, disparity, _ = maps(shown(what, plain_bank))

    assert np.abs(disparity[:, 60:90] - 20.0).max() < 0.01
    assert np.abs(disparity[:, :60] - 5.0).max() < 0.01
    np.testing.assert_allclose(left[:, :60], 0.8, atol=1e-3)
    np.testing.assert_allclose(left[:, 60:90], 0.75 * 0.8 + 0.25 * 0.2, atol=1e-3)


def test_far_side_of_a_box_is_hidden_behind_its_near_side(bank):
    box = surface((1.2, 0.0, 5.0), (0.4, 3.0, 1.5), np.eye(3))
    what = scene(FOCAL, boxes=box)
    pair = shown(what, bank)
    _, _, disparity, visible = maps(pair)

    front = np.isclose(disparity, FOCAL / 3.5, atol=0.01)
    side = (disparity > 0) & ~front

    assert front.any()
    assert side.any()
    assert visible[front].all()
    # The right camera, at 1, sees the face at 0.8 from its other side.
    assert not visible[side & (disparity < FOCAL / 3.5 - 2)].any()


def test_glossy_surface_shines_differently_in_both_views(bank):
    ball = surface((0.5, 0.0, 5.0), (1.5, 1.5, 1.5))
    what = scene(FOCAL, rounds=ball)
    what.light[:] = torch.tensor([0.2, -0.3, -0.9]) / np.sqrt(0.94)

    def error(what):
        left, right, disparity, visible = maps(shown(what, bank))
        seen = visible & (disparity > 0)
        return np.abs(left - warped(right, disparity))[seen].mean()

    matte_error = error(what)
    what.materials.gloss[:] = 0.6
    assert error(what) > matte_error + 0.003


def test_rendering_repeats_itself(bank):
    first, again = (shown(draw(Dice(3), 2, HEIGHT, WIDTH, bank.count), bank) for _ in range(2))

    for f in fields(first):
        assert torch.equal(getattr(first, f.name), getattr(again, f.name))


def test_what_a_gpu_compiles_renders_the_same(bank, monkeypatch):
    module = importlib.import_module("stereo_depth_ros.scenes.synthetic.render")
    scenes = [draw(Dice(seed), 2, HEIGHT, WIDTH, 4) for seed in (5, 6)]
    eager = [render(batch, bank, HEIGHT, WIDTH) for batch in scenes]
    windows = module.find_windows
    # As on a GPU, but for the kernels: whole images, and functions that are traced.
    monkeypatch.setattr(module, "find_windows", lambda *given, small: windows(*given, small=False))
    traced = functools.cache(functools.partial(torch.compile, dynamic=False, backend="aot_eager"))
    for part in (module, casting, shading):
        monkeypatch.setattr(part, "fuse", lambda function, device: traced(function))

    compiled = [render(batch, bank, HEIGHT, WIDTH) for batch in scenes]

    for expected, actual in zip(eager, compiled, strict=True):
        for name in ("left", "right", "disparity", "visible"):
            torch.testing.assert_close(getattr(actual, name), getattr(expected, name))
