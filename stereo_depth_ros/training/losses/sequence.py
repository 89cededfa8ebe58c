"""Losses on every step of a refinement, the later the more, as RAFT-Stereo and IGEV have them.

FoundationStereo publishes both terms and their weights; Fast-FoundationStereo is taught as that is.
Lite Any Stereo 2 publishes them for LAS2-H, SMoE-Stereo the second for all of its steps. Theirs
leave out what is infinitely far, 0 px; ours counts it, or the sky would be anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.losses.average import average

GAMMA = 0.9


def weigh_steps(count: int) -> list[float]:
    """Return the weights of ``count`` steps, 1 for the last."""
    return [GAMMA ** (count - 1 - step) for step in range(count)]


def loss(
    disparities: Sequence[Tensor], batch: Batch, span: float, has_initial: bool
) -> dict[str, Tensor]:
    """Return the loss terms, scalars, where the truth is below ``span`` px.

    ``disparities`` are those of all steps, (B, 1, H, W) px; the first is regressed from a volume if
    it ``has_initial``. ``initial``: smooth L1 of that one; ``steps``: weighted L1 of the others.
    """
    truth, valid = batch.disparity, batch.disparity < span
    steps = list(disparities)
    terms = {}
    if has_initial:
        terms["initial"] = average(F.smooth_l1_loss(steps.pop(0), truth, reduction="none"), valid)
    terms["steps"] = sum(
        (
            weight * average((step - truth).abs(), valid)
            for weight, step in zip(weigh_steps(len(steps)), steps, strict=True)
        ),
        truth.new_zeros(()),
    )
    return terms
