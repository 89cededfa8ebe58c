"""The loss of S²M²: disparity, occlusion, confidence, and a transport with its mass on the truth.

Published are the four terms and the form of the last. Ours are: the weight of each, 1; that all
steps count as in `sequence`; the margin and how far around the truth mass may lie; and that what
the right view is known not to see is asked of the later steps alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.losses.average import average
from stereo_depth_ros.training.losses.sequence import weigh_steps

_CONFIDENT = 4.0  # px, up to which the network is to be sure of its disparity; published
_NEIGHBOURS = 1  # columns at 1/4
_MARGIN = 0.05  # of the mass, which may lie elsewhere


def loss(maps: Sequence[Tensor], transport: Tensor, batch: Batch) -> dict[str, Tensor]:
    """Return the loss terms, scalars.

    ``maps`` are those of each step, disparity in px, confidence and visibility, (B, 3, H, W);
    ``transport`` (B, W/4 right, H/4, W/4 left).
    """
    truth, valid = batch.disparity, batch.valid
    visible = _find_visible(batch)
    is_known = valid & ~visible.isnan()
    terms = dict.fromkeys(("disparity", "occlusion", "confidence"), truth.new_zeros(()))
    for index, (weight, step) in enumerate(zip(weigh_steps(len(maps)), maps, strict=True)):
        disparity, confidence, visibility = step.split(1, 1)
        error = (disparity - truth).abs()
        asked = valid if index else valid & (visible != 0)
        is_right = (error.detach() < _CONFIDENT).float()
        for name, value, where in (
            ("disparity", error, asked),
            ("occlusion", (visibility - visible).abs(), is_known),
            ("confidence", (confidence - is_right).abs(), valid),
        ):
            terms[name] = terms[name] + weight * average(value, where)
    terms["transport"] = _measure_stray_mass(transport, truth, valid & (visible != 0))
    return terms


def _find_visible(batch: Batch) -> Tensor:
    """Return what the batch knows, and 0 for what lies beyond the right view."""
    column = torch.arange(batch.disparity.shape[-1], device=batch.disparity.device)
    return batch.visible.masked_fill(batch.valid & (column - batch.disparity < 0), 0)


def _measure_stray_mass(transport: Tensor, truth: Tensor, asked: Tensor) -> Tensor:
    """Return how much of each left column's mass lies away from its truths, beyond a margin.

    Of the truths (B, 1, H, W) in px, those count that are ``asked``; each column at 1/4 has 16.
    """
    columns = transport.shape[1]
    truths, counts = (F.pixel_unshuffle(x, 4) for x in (truth / 4, asked.float()))  # (B, 16, h, w)
    left = torch.arange(truths.shape[-1], device=truth.device)
    centre = (left - truths).round().long()
    target = torch.zeros_like(transport[:, :1]).repeat(1, columns + 1, 1, 1)
    for offset in range(-_NEIGHBOURS, _NEIGHBOURS + 1):
        column = centre + offset
        is_inside = (counts > 0) & (column >= 0) & (column < columns)
        # What counts nowhere goes into one column too many.
        target.scatter_(1, torch.where(is_inside, column, columns), 1.0)
    mass = (transport * target[:, :-1]).sum(1, keepdim=True)
    return average((1 - mass - _MARGIN).clamp(min=0), (counts > 0).any(1, keepdim=True))
