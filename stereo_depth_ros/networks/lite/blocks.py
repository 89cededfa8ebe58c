"""What several parts of `lite` are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def conv(cin: int, cout: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return F.relu(x + self.second(self.first(x)))


def double(x: Tensor) -> Tensor:
    """Return (B, C, H, W) at twice the size, (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, C, H, W) at another ``size`` (height, width), every pixel as one of ``x``.

    By whole numbers: in a Resize, runtimes round to different neighbours.
    """
    for axis, side in zip((2, 3), size, strict=True):
        steps = torch.arange(side, device=x.device)
        x = x.index_select(axis, (2 * steps + 1) * int(x.shape[axis]) // (2 * side))
    return x


class Merge(nn.Module):
    """Bring a coarser map up to a finer one and join them."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(coarse, fine, 1)
        self.join = conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, coarse, H/2, W/2) and (B, fine, H, W) to (B, fine, H, W)."""
        return self.join(fine + double(self.up(coarse)))
