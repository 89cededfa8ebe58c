"""The loss of WAFT-Stereo: a first match among candidates, then mixtures of distributions.

As the authors' code has it, but that every pair counts alike, and that what is infinitely far
counts too.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.losses.average import average
from stereo_depth_ros.training.losses.sequence import weigh_steps

_LEAST_PROBABILITY = 1e-6
_MAX_LOG_SCALE = 10


def loss(
    stages: Sequence[Tensor | tuple[Tensor, Tensor]], batch: Batch, bin_width: float
) -> dict[str, Tensor]:
    """Return the loss terms, scalars, where the truth is below the last candidate.

    The first of ``stages`` are logits (B, N, H, W) of candidates every ``bin_width`` px; each other
    is a disparity (B, 1, H, W) in px and the channels (B, 3, H, W) of a mixture. ``initial``: cross
    entropy with a softmax of the candidates' distance from the truth; ``steps``: weighted negative
    log likelihood of the truth under each mixture.
    """
    logits, *steps = stages
    assert isinstance(logits, Tensor)
    truth = batch.disparity
    candidates = bin_width * torch.arange(logits.shape[1], device=truth.device).view(1, -1, 1, 1)
    valid = truth < candidates.max()
    label = (-(candidates - truth).abs()).softmax(1)
    log_p = logits.softmax(1).clamp(min=_LEAST_PROBABILITY).log()
    total = truth.new_zeros(())
    for weight, (disparity, channels) in zip(weigh_steps(len(steps)), steps, strict=True):
        total = total + weight * average(_surprise((truth - disparity).abs(), channels), valid)
    return {"initial": average(-(label * log_p).sum(1, keepdim=True), valid), "steps": total}


def _surprise(error: Tensor, channels: Tensor) -> Tensor:
    """Return the negative log likelihood of ``error`` in px; see `waft_stereo.uncertainty`."""
    wide, narrow, log_scale = channels.split(1, 1)
    log_scale = log_scale.clamp(0, _MAX_LOG_SCALE)
    of_wide = error * torch.exp(-log_scale) + log_scale + math.log(2)
    of_narrow = error + math.log(2)
    return torch.logaddexp(wide, narrow) - torch.logaddexp(wide - of_wide, narrow - of_narrow)
