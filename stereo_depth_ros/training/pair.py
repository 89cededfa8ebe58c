"""One pair of a dataset with its truth, as arrays; read where no PyTorch is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.sample import Sample


@dataclass(frozen=True)
class Pair:
    """A pair and the truth of its left view.

    Attributes
    ----------
    left, right
        (H, W, 3) uint8 RGB.
    disparity
        (H, W) float32 px, 0 for what is infinitely far, NaN where it is not known.
    visible
        (H, W) float32, 1 where the right view sees the point too, 0 where it does not, NaN where
        that is not known.
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    visible: np.ndarray

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in px."""
        height, width = self.disparity.shape
        return height, width


def read_training_pair(sample: Sample) -> Pair:
    """Read a pair of a dataset; its mask, where it has one, says what both views see.

    Raises
    ------
    InputError
        For images or truth that cannot be read, or that differ in size.
    """
    left, right = sample.images()
    truth = sample.truth()
    if not left.shape[:2] == right.shape[:2] == truth.shape:
        raise InputError(
            f"{sample.name}: left is {_size(left)}, right {_size(right)} and truth {_size(truth)}; "
            "they must be of one size"
        )
    known = np.isfinite(truth) & (truth >= 0)
    disparity = np.where(known, truth, np.float32(np.nan))
    visible = np.full_like(disparity, np.nan)
    if sample.nonocc is not None:
        # A mask says nothing of pixels without truth that it leaves out.
        seen = sample.nonocc()
        visible = np.where(seen, 1, np.where(known, 0, visible)).astype(np.float32)
    return Pair(left, right, disparity, visible)


def _size(array: np.ndarray) -> str:
    return "x".join(map(str, array.shape[:2]))
