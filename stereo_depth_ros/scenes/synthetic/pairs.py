"""Rendered pairs as cameras see them, one at a time, each the same whatever others are drawn."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.camera import photograph
from stereo_depth_ros.scenes.synthetic.dice import Dice
from stereo_depth_ros.scenes.synthetic.layout import draw
from stereo_depth_ros.scenes.synthetic.render import render
from stereo_depth_ros.scenes.synthetic.textures import (
    SCENES_PER_BANK,
    TEXTURES_PER_BANK,
    draw_bank,
    photographs,
)


@dataclass(frozen=True)
class ScenePair:
    """A pair as cameras see it, and the truth of its left view.

    Attributes
    ----------
    left, right
        (H, W, 3) uint8 RGB.
    disparity
        (H, W) float32 px, 0 for sky.
    visible
        (H, W) bool, seen in the right view too.
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    visible: np.ndarray

    @property
    def sky(self) -> np.ndarray:
        """Where nothing but the sky is seen, (H, W) bool."""
        return self.disparity == 0


def draw_pairs(
    count: int, size: tuple[int, int], seed: int, photos: Path | None = None
) -> Iterator[ScenePair]:
    """Draw the first pairs of a seed, one by one.

    The seed and its place alone decide a pair. All are rendered on the CPU, since noise that is
    drawn on a GPU is another.

    Parameters
    ----------
    count
        How many.
    size
        (height, width) px.
    seed
        0 or more.
    photos
        A folder of photographs to use as textures too.

    Returns
    -------
    iterator of ScenePair
        Each rendered when it is asked for.

    Raises
    ------
    InputError
        For a folder without photographs, at once.
    """
    files = photographs(photos) if photos else ()

    def draw_one() -> Iterator[ScenePair]:
        for index in range(count):
            if index % SCENES_PER_BANK == 0:
                bank = draw_bank(_derive_seed(seed, 1, index), TEXTURES_PER_BANK, files)
            dice = Dice(_derive_seed(seed, 0, index))
            truth = render(draw(dice, 1, *size, bank.count), bank, *size)
            left, right = photograph(truth.left, truth.right, dice)
            yield ScenePair(
                _image(left),
                _image(right),
                truth.disparity[0, 0].numpy(),
                truth.visible[0, 0].numpy(),
            )

    return draw_one()


def _derive_seed(seed: int, use: int, index: int) -> int:
    """Return a seed of its own for each ``use`` and ``index``."""
    sequence = np.random.SeedSequence(seed, spawn_key=(use, index))
    return int(sequence.generate_state(1, np.uint64)[0])


def _image(batch: Tensor) -> np.ndarray:
    return np.ascontiguousarray(batch[0].permute(1, 2, 0).byte().numpy())
