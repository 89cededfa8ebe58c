"""Which kernels of a selective recurrent unit count at each pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class SpatialSelection(nn.Module):
    """The share of small kernels at each pixel, from the mean and the largest channel there."""

    def __init__(self) -> None:
        super().__init__()
        self.samconv = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, context: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 1, H, W), 0 to 1."""
        mean, largest = context.mean(1, keepdim=True), context.amax(1, keepdim=True)
        return self.samconv(torch.cat([mean, largest], 1)).sigmoid()
