"""Compare the features of the left view with those of the right view along each row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import size_of


def correlation_volume(left: Tensor, right: Tensor, disparities: int, groups: int = 1) -> Tensor:
    """Return the dot products of each left column x with the right columns x - d.

    ``left`` and ``right`` are features (B, C, H, W); the sums run over each of ``groups`` groups of
    consecutive channels. The result is (B, groups, D, H, W), d from 0 to ``disparities`` - 1 and 0
    where x < d. Whoever wants a mean or a cosine scales the features first, which is cheaper.
    """
    batch, channels, height, width = left.shape
    size = (batch, groups, channels // groups, height, -1)
    left = left.reshape(size)  # (B, G, C/G, H, W)
    right = F.pad(right, (disparities - 1, 0)).reshape(size)  # (B, G, C/G, H, D - 1 + W)
    # Slices of one padded map: no index tensor, no in-place writes, and D may exceed W.
    planes = [
        (left * right[..., start : start + width]).sum(2)  # (B, G, H, W)
        for start in range(disparities - 1, -1, -1)
    ]
    return torch.stack(planes, 2)


def all_pairs_correlation(left: Tensor, right: Tensor) -> Tensor:
    """Return the dot products of each left column with all right columns of its row, in float32.

    Features (B, C, H, W) to a table (B, 1, W', H, W) whose third axis is the right column.
    """
    with torch.autocast(left.device.type, enabled=False):
        rows = right.float().permute(0, 2, 3, 1) @ left.float().transpose(1, 2)  # (B, H, W', W)
    return rows.transpose(1, 2).unsqueeze(1)


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
