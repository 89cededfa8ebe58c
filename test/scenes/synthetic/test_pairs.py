from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from stereo_depth_ros.evaluation.datasets import read_dataset, write_plain
from stereo_depth_ros.scenes.synthetic import pairs as pairs_module
from stereo_depth_ros.scenes.synthetic.camera import photograph
from stereo_depth_ros.scenes.synthetic.pairs import draw_pairs
from stereo_depth_ros.scenes.synthetic.render import render

SIZE = (48, 80)
NAMES = ("left", "right", "disparity", "visible", "sky")


@pytest.fixture(autouse=True)
def _few_textures(monkeypatch):
    """Drawing them is what takes long."""
    monkeypatch.setattr(pairs_module, "TEXTURES_PER_BANK", 2)


def equal(one, other):
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in NAMES)


def test_pair_is_what_cameras_see_of_a_render_with_its_truth(monkeypatch):
    rendered, seen = [], []
    monkeypatch.setattr(
        pairs_module, "render", lambda *given: rendered.append(render(*given)) or rendered[-1]
    )
    monkeypatch.setattr(
        pairs_module, "photograph", lambda *given: seen.append(photograph(*given)) or seen[-1]
    )

    drawn = list(draw_pairs(12, SIZE, 3))

    assert len(drawn) == len(rendered) == len(seen) == 12
    for pair, truth, views in zip(drawn, rendered, seen, strict=True):
        for image, view in zip((pair.left, pair.right), views, strict=True):
            assert image.shape == (*SIZE, 3)
            assert image.dtype == np.uint8
            assert torch.equal(torch.from_numpy(image).permute(2, 0, 1).float(), view[0])
        np.testing.assert_array_equal(pair.disparity, truth.disparity[0, 0])
        np.testing.assert_array_equal(pair.visible, truth.visible[0, 0])
        np.testing.assert_array_equal(pair.sky, truth.disparity[0, 0] == 0)
        assert pair.disparity.dtype == np.float32
    assert any(pair.sky.any() for pair in drawn)


def test_seed_and_place_alone_decide_a_pair():
    first, second, third = draw_pairs(3, SIZE, 7)
    assert not equal(first, second)

    torch.manual_seed(1)
    again = list(islice(draw_pairs(50, SIZE, 7), 3))
    assert all(map(equal, (first, second, third), again))
    (other,) = draw_pairs(1, SIZE, 8)
    assert not equal(first, other)


def test_textures_are_renewed_after_many_pairs(monkeypatch):
    seeds = []
    draw_bank = pairs_module.draw_bank
    monkeypatch.setattr(
        pairs_module, "draw_bank", lambda seed, *others: seeds.append(seed) or draw_bank(1, 2)
    )
    monkeypatch.setattr(pairs_module, "SCENES_PER_BANK", 2)

    assert len(list(draw_pairs(5, SIZE, 7))) == 5

    assert len(set(seeds)) == len(seeds) == 3


def test_pairs_that_were_written_are_read_back_by_value(tmp_path):
    drawn = list(draw_pairs(3, SIZE, 3))
    for index, pair in enumerate(drawn):
        folder = tmp_path / f"{index}"
        write_plain(folder, pair.left, pair.right, pair.disparity, pair.visible, pair.sky)

    for pair, sample in zip(drawn, read_dataset(tmp_path, "plain"), strict=True):
        left, right = sample.images()
        np.testing.assert_array_equal(left, pair.left)
        np.testing.assert_array_equal(right, pair.right)
        np.testing.assert_array_equal(sample.truth(), pair.disparity)
        np.testing.assert_array_equal(sample.nonocc(), pair.visible)
        np.testing.assert_array_equal(sample.sky(), pair.sky)


def test_folder_without_photographs_is_refused_before_anything_is_drawn(tmp_path):
    with pytest.raises(ValueError, match=r"no \.jpg or \.png below"):
        draw_pairs(1, SIZE, 0, tmp_path)
