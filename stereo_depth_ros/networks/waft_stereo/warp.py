"""Read the right view's features where a disparity points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import fix_size


class Warp:
    """The right features, warped to the left view by a disparity.

    As the published weights were trained, corners are taken for the centres of the outermost
    pixels on the way to the sampler and for their outer edges in it: column x is read at
    x w / (w - 1) - 1/2, and row y likewise, off by up to half a pixel.
    """

    def __init__(self, features: Tensor) -> None:
        """``features`` are (B, C, h, w); they are kept in float32, as positions are."""
        features = features.float()
        height, width = fix_size(features)
        row = torch.arange(height, device=features.device, dtype=torch.float32).view(-1, 1)
        shift = row / (height - 1) - 0.5  # of the row that is read, -1/2 to 1/2
        padded = F.pad(features, (0, 0, 1, 1))
        self.rows = (
            (1 - shift.abs()) * features
            + F.relu(-shift) * padded[:, :, :-2]
            + F.relu(shift) * padded[:, :, 2:]
        )
        self.column = torch.arange(width, device=features.device, dtype=torch.float32)
        self.stretch = width / (width - 1)

    def __call__(self, disparity: Tensor) -> Tensor:
        """Return the features (B, C, h, w) that ``disparity`` (B, 1, h, w), float32, points to.

        What lies outside the right view counts as 0.
        """
        position = (self.column - disparity) * self.stretch - 0.5
        below = position.floor()
        low, high = self._read(below), self._read(below + 1)
        return low + (position - below) * (high - low)

    def _read(self, column: Tensor) -> Tensor:
        # Clamped as integers: a NaN, which fp16 may make, must not become an index.
        index = column.long().clamp(0, self.column.shape[0] - 1)
        values = self.rows.gather(3, index.expand(-1, self.rows.shape[1], -1, -1))
        return values * (column == index)
