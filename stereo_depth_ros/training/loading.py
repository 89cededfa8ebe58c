"""What a worker does to a pair of a dataset before a network learns from it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stereo_depth_ros.evaluation.sample import Sample
from stereo_depth_ros.training.augmentation import augment
from stereo_depth_ros.training.matchers import UNAIDED, match
from stereo_depth_ros.training.pair import Pair, read_training_pair


class LoadedPair(NamedTuple):
    """A pair and what SGBM makes of it, zeros for nothing; (H, W) float32."""

    pair: Pair
    prior: np.ndarray
    prior_confidence: np.ndarray


def load_whole(sample: Sample, prior_span: int) -> LoadedPair:
    """Load a pair as it is, with a prior of up to ``prior_span`` px, 0 for none.

    Raises
    ------
    InputError
        As `read_training_pair`.
    """
    return _match(read_training_pair(sample), prior_span)


def load_variation(
    sample: Sample, size: tuple[int, int], seed: tuple[int, int], prior_span: int
) -> LoadedPair:
    """Load a variation of ``size`` (height, width) px, which ``seed`` alone decides.

    Raises
    ------
    InputError
        As `read_training_pair` and `augment`.
    """
    random = np.random.default_rng(seed)
    pair = augment(read_training_pair(sample), size, random)
    return _match(pair, 0 if random.uniform() < UNAIDED else prior_span)


def _match(pair: Pair, prior_span: int) -> LoadedPair:
    if prior_span:
        return LoadedPair(pair, *match(pair.left, pair.right, prior_span))
    return LoadedPair(pair, *np.zeros((2, *pair.size), np.float32))
