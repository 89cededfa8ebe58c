"""IGEV's lookup: a cost volume and the correlation of all pairs, read around a disparity."""

from __future__ import annotations

import torch
from torch import Tensor

from stereo_depth_ros.networks.layers.lookup import taps_around


class GeometryLookup:
    """What ``volume`` and ``pairs`` hold around a disparity, at full length and halved.

    ``volume`` is (B, G, D, H, W), ``pairs`` (B, 1, W', H, W) from ``all_pairs_correlation``.
    They are kept in float32, for half precision is too coarse for positions.
    """

    def __init__(self, volume: Tensor, pairs: Tensor, radius: int = 4) -> None:
        volume, pairs = volume.float(), pairs.float()
        self.levels = ((1, volume, pairs), (2, _halve(volume), _halve(pairs)))
        self.radius = radius

    def __call__(self, disparity: Tensor) -> Tensor:
        """Look around ``disparity`` (B, 1, H, W), float32, in steps of the volume.

        The result is (B, 2 * (G + 1) * (2 * radius + 1), H, W): for each level the volume, then the
        pairs. The ``radius`` steps to both sides are the level's own.
        """
        columns = torch.arange(
            disparity.shape[-1], device=disparity.device, dtype=disparity.dtype
        )  # (W,)
        found = []
        for scale, volume, pairs in self.levels:
            found.append(taps_around(volume, disparity / scale, self.radius))
            found.append(taps_around(pairs, (columns - disparity) / scale, self.radius))
        return torch.cat([taps.flatten(1, 2) for taps in found], 1)


def _halve(table: Tensor) -> Tensor:
    """Average neighbouring pairs, (B, C, N, H, W) to (B, C, N // 2, H, W); an odd last one goes."""
    end = table.shape[2] // 2 * 2
    return (table[:, :, 0:end:2] + table[:, :, 1:end:2]) / 2
