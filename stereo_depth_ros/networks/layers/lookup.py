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


class GeometryLookup:
    """What ``volume`` and ``pairs`` hold around a disparity, at full length and halved.

    ``volume`` is (B, G, D, H, W), ``pairs`` (B, 1, W', H, W) from ``all_pairs_correlation``.
    They are kept in float32, for half precision is too coarse for positions.
    """

    def __init__(self, volume: Tensor, pairs: Tensor, radius: int = 4) -> None:
        volume, pairs = volume.float(), pairs.float()
        self.levels = ((1, volume, pairs), (2, halve_table(volume), halve_table(pairs)))
        self.radius = radius

    def __call__(self, disparity: Tensor) -> Tensor:
        """Look around ``disparity`` (B, 1, H, W), float32, in steps of the volume.

        The result is (B, 2 * (G + 1) * (2 * radius + 1), H, W): for each level the volume, then the
        pairs. The ``radius`` steps to both sides are the level's own.
        """
        columns = torch.arange(
            disparity.shape[-1], device=disparity.device, dtype=disparity.dtype
        )  # (W,)
        taps = []
        for scale, volume, pairs in self.levels:
            taps.append(taps_around(volume, disparity / scale, self.radius))
            taps.append(taps_around(pairs, (columns - disparity) / scale, self.radius))
        return torch.cat([values.flatten(1, 2) for values in taps], 1)


def halve_table(table: Tensor) -> Tensor:
    """Average neighbouring pairs, (B, C, N, H, W) to (B, C, N // 2, H, W); an odd last one goes."""
    end = table.shape[2] // 2 * 2
    return (table[:, :, 0:end:2] + table[:, :, 1:end:2]) / 2
