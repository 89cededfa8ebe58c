"""Logits of the weights that upsample the maps, then filter them at full size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.s2m2.blocks import conv


class UpsampleLogits(nn.Module):
    """For each pixel of the image, one logit for each of 3 x 3 pixels of a quarter of it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_x = nn.ConvTranspose2d(channels, 64, 2, stride=2)
        self.conv_y = conv(channels, 64, 3)
        self.conv_concat = nn.Sequential(
            conv(128, 128, 3), nn.ReLU(), nn.ConvTranspose2d(128, 9, 2, stride=2)
        )

    def forward(self, hidden: Tensor, half: Tensor) -> Tensor:
        """Map (B, C, H4, W4) and (B, C, H2, W2) to (B, 9, H, W)."""
        return self.conv_concat(torch.cat([self.conv_x(hidden), self.conv_y(half)], 1))


class FilterLogits(nn.Module):
    """For each pixel of the image, one logit for each of the 3 x 3 pixels around it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_disp = nn.Sequential(nn.ConvTranspose2d(1, 16, 3, padding=1), nn.ReLU())
        self.conv_rgb = nn.Sequential(nn.ConvTranspose2d(3, 16, 3, padding=1), nn.ReLU())
        self.conv_ctx = nn.ConvTranspose2d(channels, 16, 2, stride=2)
        self.conv_concat = nn.Sequential(conv(48, 48, 3), nn.ReLU(), nn.ConvTranspose2d(48, 9, 1))

    def forward(self, disparity: Tensor, image: Tensor, half: Tensor) -> Tensor:
        """Map (B, 1, H, W) px, (B, 3, H, W) -1 to 1 and (B, C, H2, W2) to (B, 9, H, W)."""
        features = [self.conv_disp(disparity), self.conv_rgb(image), self.conv_ctx(half)]
        return self.conv_concat(torch.cat(features, 1))
