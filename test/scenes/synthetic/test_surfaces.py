from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import FACING, NOTHING, surface, together, turned
from ray_geometry import disparity_of

from stereo_depth_ros.scenes.synthetic import surfaces as ours
from stereo_depth_ros.scenes.synthetic.surfaces import PATTERNS, View

HEIGHT, WIDTH, FOCAL = 120, 160, 140.0
X = np.arange(WIDTH) - (WIDTH - 1) / 2
Y = np.arange(HEIGHT)[:, None] - (HEIGHT - 1) / 2
TILTED = turned(0.4, -0.7, 0.3)
INTERSECT = {"box": ours.box, "round": ours.round_, "card": ours.card}

SURFACES = {
    "floor": ("plane", surface((0.0, 1.5, 0.0), rotation=turned(np.pi / 2, 0.0, 0.0))),
    "slanted wall": ("plane", surface((2.0, 0.0, 30.0), rotation=turned(0.1, 0.6, 0.0) @ FACING)),
    "box": ("box", surface((0.5, -0.2, 6.0), (1.2, 0.8, 1.5), TILTED)),
    "upright box": ("box", surface((0.5, 0.0, 6.0), (0.9, 1.4, 0.6), np.eye(3))),
    "far box": ("box", surface((10.0, -5.0, 80.0), (9.0, 4.0, 6.0), TILTED)),
    "box straight ahead": ("box", surface((0.0, 0.0, 4.0), (1.0, 1.0, 1.0), np.eye(3))),
    "ellipsoid": ("round", surface((-0.6, 0.3, 5.0), (1.4, 0.7, 1.0), TILTED)),
    "near ellipsoid": ("round", surface((0.2, 0.0, 2.5), (0.8, 1.0, 0.9), TILTED)),
    "far ellipsoid": ("round", surface((-12.0, 6.0, 90.0), (14.0, 7.0, 10.0), TILTED)),
    "cylinder": ("round", surface((0.4, 0.2, 5.0), (0.8, 1.5, 1.1), TILTED, cylinder=True)),
    "cylinder seen on its cap": (
        "round",
        surface((0.0, 1.5, 4.0), (1.0, 0.4, 1.2), np.eye(3), cylinder=True),
    ),
    "cylinder pointing at both cameras": (
        "round",
        surface((0.4, 0.1, 5.0), (1.3, 0.8, 1.1), turned(1.5, 0.0, 0.05), cylinder=True),
    ),
    "cylinder pointing at the right camera": (
        "round",
        surface((1.4, 0.1, 5.0), (0.9, 0.8, 1.1), turned(1.6, 0.0, 0.0), cylinder=True),
    ),
    "rod": ("round", surface((0.0, 0.0, 12.0), (0.15, 4.0, 0.15), TILTED, cylinder=True)),
    "card": ("card", surface((0.3, -0.1, 4.0), (1.2, 0.9, 1.0), turned(0.5, 0.8, 0.2))),
    "card from behind": ("card", surface((0.3, -0.1, 4.0), (1.2, 0.9, 1.0), TILTED @ FACING)),
}


def rays(origin, x=X):
    """Rays at pixel offsets ``x`` (W) or (H, W)."""
    x = torch.from_numpy(np.array(x)).float()
    return View(
        x.reshape(1, -1, WIDTH),
        torch.from_numpy(Y).float()[None],
        torch.tensor([FOCAL]),
        torch.tensor(origin),
    )


def rendered(kind, what, view):
    if kind == "plane":
        return ours.planes(what, view)[0][0].clamp(min=0).numpy()
    return INTERSECT[kind](what, 0, view)[0].numpy()


@pytest.mark.parametrize("origin", [0.0, 1.0], ids=["left", "right"])
@pytest.mark.parametrize("name", SURFACES)
def test_disparity_is_that_of_the_ray_geometry(name, origin):
    kind, what = SURFACES[name]

    got = rendered(kind, what, rays(origin))

    expected = disparity_of(kind, what, 0, 0, FOCAL, X, Y, origin)
    assert (expected > 0).sum() > 100
    both = (got > 0) & (expected > 0)
    assert np.abs(got - expected)[both].max() < 0.01
    # Rounding may decide a ray that grazes the edge.
    assert ((got > 0) != (expected > 0)).sum() <= 3


@pytest.mark.parametrize("name", SURFACES)
def test_right_camera_meets_the_same_disparity_at_the_match_of_every_left_pixel(name):
    kind, what = SURFACES[name]
    left = rendered(kind, what, rays(0.0))

    right = rendered(kind, what, rays(1.0, X - left))

    hit = left > 0
    same = np.abs(right - left)[hit] < 0.01
    # The right camera may see another side of the body before that point, but nothing behind it.
    assert same.mean() > (0.85 if kind in ("box", "round") else 0.99)
    assert ((right[hit] > left[hit] - 0.01) | (right[hit] == 0)).all()
    assert (right[hit] == 0).mean() < 0.02


@pytest.mark.parametrize("name", SURFACES)
def test_what_is_not_present_is_not_hit(name):
    kind, what = SURFACES[name]

    gone = replace(what, present=torch.tensor([[False]]))

    assert (rendered(kind, gone, rays(0.0)) == 0).all()


@pytest.mark.parametrize("name", [name for name, (kind, _) in SURFACES.items() if kind != "plane"])
def test_what_lies_behind_the_camera_is_not_hit(name):
    kind, what = SURFACES[name]

    behind = replace(what, centre=what.centre * torch.tensor([1.0, 1.0, -1.0]))

    assert (rendered(kind, behind, rays(0.0)) == 0).all()


@pytest.mark.parametrize("kind", ["box", "round"])
@pytest.mark.parametrize("cylinder", [False, True])
def test_body_around_the_camera_is_not_hit(kind, cylinder):
    around = surface((0.2, 0.1, 0.3), (3.0, 4.0, 5.0), TILTED, cylinder=cylinder)

    assert (rendered(kind, around, rays(0.0)) == 0).all()


def test_nearest_of_several_planes_is_seen_and_named():
    floor, wall = SURFACES["floor"][1], SURFACES["slanted wall"][1]

    disparity, index = ours.planes(together(NOTHING, floor, wall), rays(0.0))

    expected = [disparity_of("plane", p, 0, 0, FOCAL, X, Y, 0.0) for p in (floor, wall)]
    assert np.abs(disparity[0].numpy() - np.max(expected, axis=0)).max() < 0.01
    apart = np.abs(expected[0] - expected[1]) > 0.01
    assert (index[0].numpy() == 1 + np.argmax(expected, axis=0))[apart].all()
    assert set(index.unique().tolist()) == {1, 2}


@pytest.mark.parametrize("pattern", range(1, len(PATTERNS)), ids=PATTERNS[1:])
def test_cut_card_has_holes_and_lies_where_the_whole_one_does(pattern):
    whole = surface((0.0, 0.0, 4.0), (1.5, 1.2, 1.0), turned(0.2, 0.3, 0.1))
    cut = replace(whole, pattern=torch.tensor([[pattern]]))

    full, holed = (rendered("card", what, rays(0.0)) for what in (whole, cut))

    left_over = holed > 0
    np.testing.assert_array_equal(holed[left_over], full[left_over])
    assert 0.1 < left_over.sum() / (full > 0).sum() < 0.9


def test_holes_of_a_card_are_the_same_from_both_cameras():
    cut = surface((0.5, 0.0, 4.0), (1.5, 1.2, 1.0), turned(0.2, 0.3, 0.1), pattern=2)
    left = rendered("card", cut, rays(0.0))

    right = rendered("card", cut, rays(1.0, X - left))

    hit = left > 0
    # Rounding may decide at the rim of a hole.
    assert (np.abs(right - left)[hit] < 0.01).mean() > 0.99
