"""Read a few values around a position from a table that every pixel has of its own."""

from __future__ import annotations

import torch
from torch import Tensor


def taps_around(table: Tensor, position: Tensor, radius: int) -> Tensor:
    """Interpolate ``table`` at ``position`` and up to ``radius`` steps to both sides of it.

    ``table`` (B, C, N, H, W) holds N values for each channel and pixel, such as a cost volume or
    the correlation of all pairs; ``position`` (B, 1, H, W), float32, counts in its steps. The
    result is (B, C, 2 * radius + 1, H, W). Neighbours outside the table count as 0, each for
    itself, so values fade out over one step. This is what bilinear grid sampling of one-row images
    returns, without their grids: all taps share one fraction.
    """
    last = table.shape[2] - 1
    below = position.floor()
    offsets = torch.arange(-radius, radius + 2, device=position.device, dtype=position.dtype).view(
        -1, 1, 1
    )
    steps = below.unsqueeze(2) + offsets  # (B, 1, 2 * radius + 2, H, W)
    # Clamped as integers: a NaN, which fp16 may make, must not become an index.
    index = steps.long().clamp(0, last)
    values = table.gather(2, index.expand(-1, table.shape[1], -1, -1, -1))
    values = values * (steps == index)
    fraction = (position - below).unsqueeze(2)
    low, high = values[:, :, :-1], values[:, :, 1:]
    return low + fraction * (high - low)
