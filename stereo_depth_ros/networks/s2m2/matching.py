"""The first match: each left column of a row is assigned to right columns, or to none."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.volume import all_pairs_correlation


def column_numbers(x: Tensor) -> Tensor:
    """Return 0 to w - 1 as float32 (w,), for the last axis of ``x``."""
    return torch.arange(x.shape[-1], device=x.device, dtype=torch.float32)


class TransportMatching(nn.Module):
    """Disparity and its certainty, read from an optimal transport between the rows."""

    def __init__(self, channels: int, allow_negative: bool) -> None:
        super().__init__()
        self.allow_negative = allow_negative
        self.layer_norm = nn.LayerNorm(channels)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Map (2B, C, H4, W4) to all scores, disparity, confidence, visibility and the transport.

        The scores are (B, 1, W4 right, H4, W4 left), the maps (B, 1, H4, W4), the transport is
        that of `assign`.
        """
        normed = self.layer_norm(features.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        pairs = all_pairs_correlation(*normed.chunk(2))
        match = assign(pairs.squeeze(1), self.allow_negative)  # (B, W4 right, H4, W4 left)

        left = column_numbers(match)
        right = left.view(-1, 1, 1)
        best = match.argmax(1, keepdim=True).float()  # (B, 1, H4, W4)
        near = match * ((right - best).abs() < 2.5)
        confidence = near.sum(1, keepdim=True)
        # As published, a match of hardly any mass is drawn to column 1.
        column = ((near * right).sum(1, keepdim=True) + 1e-4) / (confidence + 1e-4)
        return pairs, left - column, confidence, match.sum(1, keepdim=True), match


def assign(scores: Tensor, allow_negative: bool) -> Tensor:
    """Return how much of each left column goes to each right one, (B, W4 right, H4, W4 left).

    Three rounds of Sinkhorn's algorithm, in logarithms, on the float32 ``scores``. Both sides have
    a dustbin, of score 0, for what the other view does not show. Each column holds a mass of 1,
    each dustbin as much as all columns.
    """
    left = column_numbers(scores)
    beyond = left.view(-1, 1, 1) > left  # (W4, 1, W4), where the disparity would be negative
    if not allow_negative:
        scores = scores.masked_fill(beyond, -10000.0)
    scores = F.pad(scores, (0, 1, 0, 0, 0, 1))  # (B, W4 + 1, H4, W4 + 1)
    width = len(left)
    log_mass = torch.tensor([0.0] * width + [math.log(width)], device=scores.device)
    of_left: Tensor | float = 0.0
    for _ in range(3):
        of_right = log_mass.view(-1, 1, 1) - _log_sum_exp(scores + of_left, -1)
        of_left = log_mass - _log_sum_exp(scores + of_right, 1)  # (B, 1, H4, W4 + 1)
    match = (scores + of_left + of_right)[:, :-1, :, :-1].exp()
    return match if allow_negative else match.masked_fill(beyond, 0.0)


def _log_sum_exp(x: Tensor, axis: int) -> Tensor:
    """Spelt out, for the graph operator of that name does not subtract the maximum."""
    peak = x.amax(axis, keepdim=True)
    return (x - peak).exp().sum(axis, keepdim=True).log() + peak
