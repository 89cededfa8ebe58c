from dataclasses import fields

import numpy as np
import pytest
import torch
from handmade import one_of

from stereo_depth_ros.scenes.synthetic import render
from stereo_depth_ros.scenes.synthetic.dice import Dice
from stereo_depth_ros.scenes.synthetic.layout import RODS, draw, rotation
from stereo_depth_ros.scenes.synthetic.mix import SceneMix
from stereo_depth_ros.scenes.synthetic.textures import draw_bank

HEIGHT, WIDTH = 48, 80
MAX_DISPARITY = SceneMix().nearest_if_near[1]


@pytest.fixture(scope="module")
def bank():
    return draw_bank(0, 4)


@pytest.fixture(scope="module")
def many(bank):
    """Truth of 64 scenes of eight seeds, one after the other."""
    return [render(draw(Dice(seed), 8, HEIGHT, WIDTH, 4), bank, HEIGHT, WIDTH) for seed in range(8)]


def tensors(part):
    if isinstance(part, torch.Tensor):
        return [part]
    return [tensor for f in fields(part) for tensor in tensors(getattr(part, f.name))]


def test_seed_decides_the_scenes():
    first, again, other = (tensors(draw(Dice(seed), 3, HEIGHT, WIDTH, 4)) for seed in (3, 3, 4))

    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(
        torch.equal(a, b)
        for a, b in zip(first, other, strict=True)
        if a.is_floating_point() and a.std() > 0
    )


def test_everything_drawn_and_rendered_is_finite(many):
    assert all(tensor.isfinite().all() for tensor in tensors(draw(Dice(0), 32, HEIGHT, WIDTH, 4)))
    for batch in many:
        assert all(tensor.isfinite().all() for tensor in tensors(batch))


def test_disparities_stay_within_the_range_that_is_trained_for(many):
    disparity = torch.cat([batch.disparity for batch in many])

    assert disparity.min() >= 0
    # A body's near side may stick out of the range that its centre keeps to by a tenth.
    assert disparity.max() <= MAX_DISPARITY * WIDTH / 0.9
    nearest = disparity.amax((1, 2, 3)) / WIDTH
    assert nearest.max() > 0.7 * MAX_DISPARITY
    assert nearest.min() < 0.3 * MAX_DISPARITY


def test_large_disparities_are_not_rare(many):
    share = torch.cat([batch.disparity for batch in many]) / WIDTH

    # 64, 96 and 128 px of 640.
    assert (share > 0.1).float().mean() > 0.07
    assert (share > 0.15).float().mean() > 0.03
    assert (share > 0.2).float().mean() > 0.005


def test_images_are_colours_of_which_a_few_burn_out(many):
    for batch in many:
        for image in (batch.left, batch.right):
            assert image.min() >= 0
            assert image.shape == (8, 3, HEIGHT, WIDTH)
    burnt = torch.cat([(batch.left > 1).all(1).float().mean((1, 2)) for batch in many])
    assert burnt.median() < 0.05
    assert burnt.max() > 0.2


def test_burnt_out_skies_are_not_rare_and_not_the_rule():
    sky = draw(Dice(0), 400, HEIGHT, WIDTH, 4).sky

    brightest = sky.amax((1, 2))
    assert 0.25 < (brightest > 1).float().mean() < 0.55
    assert brightest.max() <= 4


def test_scenes_differ_in_what_they_hold(many):
    sky = torch.cat([(batch.disparity == 0).float().mean((1, 2, 3)) for batch in many])
    hidden = 1 - torch.cat([batch.visible.float().mean((1, 2, 3)) for batch in many])

    assert (sky == 0).any()
    assert (sky > 0.2).any()
    assert 0.03 < hidden.mean() < 0.4


def test_scenes_of_a_batch_are_those_rendered_one_by_one(bank):
    scenes = draw(Dice(11), 4, HEIGHT, WIDTH, 4)

    batch = render(scenes, bank, HEIGHT, WIDTH)

    for b in range(4):
        alone = render(one_of(scenes, b), bank, HEIGHT, WIDTH)
        torch.testing.assert_close(batch.disparity[b], alone.disparity[0], atol=1e-3, rtol=0)
        # Rounding may decide a pixel on an edge of the texture.
        for view in ("left", "right"):
            apart = (getattr(batch, view)[b] - getattr(alone, view)[0]).abs()
            assert (apart > 1e-3).float().mean() < 1e-3
        assert (batch.visible[b] != alone.visible[0]).float().mean() < 1e-3


def test_size_changes_the_scale_and_not_the_scene(bank):
    small, large = (
        render(draw(Dice(5), 4, HEIGHT * k, WIDTH * k, 4), bank, HEIGHT * k, WIDTH * k)
        for k in (1, 3)
    )

    # Pixel centres of the small image are those of every third pixel of the large one.
    difference = (large.disparity[:, :, 1::3, 1::3] - 3 * small.disparity).abs()
    assert np.median(difference.numpy()) < 1e-3


def test_mix_says_what_is_there_and_how_large():
    mix = SceneMix(outdoors_share=1.0, side_wall_share=0.0, pane_share=1.0, rod_thickness_px=(4, 4))

    scenes = draw(Dice(2), 16, HEIGHT, WIDTH, 4, mix)

    floor, *walls = scenes.planes.present.T
    assert floor.float().mean() > 0.7
    assert not any(wall.any() for wall in walls)
    assert scenes.panes.present.all()
    rods = slice(-RODS, None)
    disparity = scenes.focal[:, None] / scenes.rounds.centre[:, rods, 2]
    thickness = scenes.rounds.radius[:, rods, 0] * disparity
    assert torch.allclose(thickness, torch.tensor(4.0), rtol=1e-3)


def test_rotation_turns_about_y_then_x_then_z():
    yaw, pitch, roll = (torch.tensor([angle]) for angle in (0.5, -0.3, 0.8))
    zero = torch.zeros(1)

    whole = rotation(yaw, pitch, roll)[0]

    steps = [rotation(zero, zero, roll), rotation(zero, pitch, zero), rotation(yaw, zero, zero)]
    torch.testing.assert_close(whole, torch.linalg.multi_dot([step[0] for step in steps]))
    torch.testing.assert_close(whole @ whole.T, torch.eye(3), atol=1e-6, rtol=0)
    quarter = torch.tensor([torch.pi / 2])
    x, y, z = torch.eye(3)
    for turn, start, end in (
        (rotation(quarter, zero, zero), z, x),
        (rotation(zero, quarter, zero), y, z),
        (rotation(zero, zero, quarter), x, y),
    ):
        torch.testing.assert_close(turn[0] @ start, end, atol=1e-6, rtol=0)
