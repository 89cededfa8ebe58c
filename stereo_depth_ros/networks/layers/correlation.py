"""Compare the features of the left view with those of the right view along each row."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


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
