"""Small parts of several files here. Names of layers are those of the authors' weights."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from torch import Tensor, nn


def sequence(**layers: nn.Module) -> nn.Sequential:
    """Return ``layers`` in sequence, each under its name."""
    return nn.Sequential(OrderedDict(layers))


def unit(*layers: nn.Module) -> nn.Sequential:
    """Return ``layers`` in sequence, under the name that the authors give to all such units."""
    return sequence(block=nn.Sequential(*layers))


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """Return a convolution without bias that keeps the size at stride 1."""
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


def double(inputs: int, outputs: int, bias: bool = False) -> nn.ConvTranspose2d:
    """Return a transposed convolution to twice the size."""
    return nn.ConvTranspose2d(inputs, outputs, 4, stride=2, padding=1, bias=bias)


def image_stem(norm: Callable[[], nn.Module]) -> nn.Sequential:
    """Return layers from a normalised image (B, 3, H, W) to features (B, 16, H/2, W/2)."""
    return nn.Sequential(
        unit(conv(3, 16, 3, stride=2), norm(), nn.LeakyReLU()),
        unit(conv(16, 16, 3), norm(), nn.ReLU()),
    )


class Merge(nn.Module):
    """Bring a coarse map to twice its size and merge it into the finer one."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.deconv = unit(double(coarse, fine), nn.BatchNorm2d(fine), nn.LeakyReLU(0.2))
        self.conv = unit(conv(2 * fine, fine, 3), nn.BatchNorm2d(fine), nn.LeakyReLU(0.2))

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, coarse, H/2, W/2) and (B, fine, H, W) to (B, fine, H, W)."""
        return self.conv(torch.cat([fine, self.deconv(coarse)], 1))
