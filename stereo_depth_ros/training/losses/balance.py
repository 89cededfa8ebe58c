"""What keeps the mixtures of SMoE-Stereo from always choosing one expert.

As the authors' scripts have it, after Shazeer et al. 2017, but for the size of the noise, see
`RoutingNoise`. Their term on how often gates open is switched off in both scripts and is not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

WEIGHT = 0.1  # of the script for mixed data


class Routing(NamedTuple):
    """Of one mixture the ``scores`` of its experts, (B, N, E), and those with ``noise`` added."""

    scores: Tensor
    noisy: Tensor


def loss(routings: Sequence[Routing], noise: float) -> Tensor:
    """Return the sum over the mixtures, whose noise had the standard deviation ``noise``.

    It is 0 where all experts are as often chosen, and as likely to be.
    """
    return WEIGHT * torch.stack([_measure_imbalance(*each, noise) for each in routings]).sum()


def _measure_imbalance(scores: Tensor, noisy: Tensor, noise: float) -> Tensor:
    scores, noisy = scores.float().flatten(0, 1), noisy.float().flatten(0, 1)  # (samples, experts)
    best, second = noisy.topk(2, 1).values.split(1, 1)
    is_chosen = noisy == best
    threshold = torch.where(is_chosen, second, best)
    chance = torch.special.ndtr((scores - threshold) / noise)
    return _spread(is_chosen.float().sum(0)) + _spread(chance.sum(0))


def _spread(counts: Tensor) -> Tensor:
    """Return the squared coefficient of variation."""
    return counts.var() / (counts.mean().square() + 1e-6)
