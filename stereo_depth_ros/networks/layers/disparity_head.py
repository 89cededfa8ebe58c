"""The step of a refined disparity, from the hidden state of a recurrent unit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class DisparityHead(nn.Module):
    """Two ConvNeXt blocks of ``width`` channels, ``mlps`` wide inside, between convolutions."""

    def __init__(self, hidden: int, width: int, mlps: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(hidden, width, 3, padding=1),
            nn.ReLU(),
            *(ConvNeXtBlock(width, mlp) for mlp in mlps),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, hidden, H, W) to (B, 1, H, W)."""
        return self.conv(hidden)


class ConvNeXtBlock(nn.Module):
    """A ConvNeXt block without its norm."""

    def __init__(self, width: int, mlp: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.pwconv1 = nn.Linear(width, mlp)
        self.pwconv2 = nn.Linear(mlp, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        y = self.dwconv(x).permute(0, 2, 3, 1)  # (B, H, W, width)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)
