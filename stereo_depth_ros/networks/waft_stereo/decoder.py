"""What the first match and each refinement step compute with: a small vision transformer."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES, Block
from stereo_depth_ros.networks.layers.size import fix_size
from stereo_depth_ros.networks.waft_stereo.pyramid import (
    Cascade,
    ConvMLP,
    Levels,
    ResidualUnit,
    pyramid_widths,
)

_SIZE = VIT_SIZES["vits"]


class Decoder(nn.Module):
    """Features of ``channels`` to the same, seen at once by all pixels and close by.

    A ViT-S on patches of 8 x 8 features, without positions, between a convolutional stem and a
    pyramid; beside it convolutions at full width.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        widths = pyramid_widths(_SIZE.width)
        stem = widths[0]
        self.init = ConvMLP(channels, channels, stem)
        self.patch_embed = nn.Sequential(
            *(ResidualUnit(inputs, outputs, stride=2) for inputs, outputs in pairwise(widths))
        )
        self.blks = nn.ModuleList(
            Block(_SIZE.width, _SIZE.heads, has_scale=False) for _ in range(_SIZE.depth)
        )
        self.proj = Levels(_SIZE.width, widths)
        self.upsample = Cascade(widths)
        self.res_convs = nn.Sequential(*(ResidualUnit(stem, stem) for _ in range(4)))
        self.final_mlp = ConvMLP(2 * stem + channels, channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, h, w), sides multiples of 8, to the same."""
        stem = self.init(x)  # (B, 48, h, w)
        seen = self.upsample(self.proj(self.attend(self.patch_embed(stem))))
        return self.final_mlp(torch.cat([seen, self.res_convs(stem), x], 1))

    def attend(self, patches: Tensor) -> list[Tensor]:
        """Map (B, 384, h/8, w/8) to four of the same, from deeper and deeper blocks."""
        size = fix_size(patches)
        tokens, maps = patches.flatten(2).transpose(1, 2), []  # (B, h w / 64, 384)
        for index, block in enumerate(self.blks):
            tokens = block(tokens)
            if index in _SIZE.taps:
                maps.append(tokens.transpose(1, 2).unflatten(2, size))
        return maps
