"""A cost volume that keeps the features of both views, side by side."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import size_of


def concatenation_volume(left: Tensor, right: Tensor, disparities: int) -> Tensor:
    """Stack left features at column x on the right ones at x - d, (B, 2 C, D, H, W).

    ``left`` and ``right`` are (B, C, H, W), d runs from 0 to ``disparities`` - 1. Where x < d the
    right half is 0; the left half is the same on every plane.
    """
    _, width = size_of(right)
    padded = F.pad(right, (disparities - 1, 0))
    starts = range(disparities - 1, -1, -1)
    planes = torch.stack([padded[..., start : start + width] for start in starts], 2)
    return torch.cat([left[:, :, None].expand_as(planes), planes], 1)


def unit_groups(features: Tensor, groups: int) -> Tensor:
    """Return ``features`` (B, C, H, W) in float32, each of ``groups`` of channels of length 1."""
    grouped = features.float().unflatten(1, (groups, -1))
    return F.normalize(grouped, dim=2, eps=1e-12).flatten(1, 2)
