"""The hourglass that filters a cost volume: 3-D convolutions, gates and a transformer."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import (
    AxialPlanar,
    FeatureGate,
    Residual3d,
    conv3d,
    up3d,
)
from stereo_depth_ros.networks.layers.disparity_transformer import DisparityTransformer


class Hourglass(nn.Module):
    """Filter a volume (B, C, D, H/4, W/4), D a multiple of 8, guided by the left view's features.

    ``width`` is C, ``attention_axis`` that of ``DisparityTransformer``.
    """

    def __init__(self, width: int, attention_axis: str) -> None:
        super().__init__()
        c1, c2, c3 = 2 * width, 4 * width, 6 * width
        self.conv1 = nn.Sequential(conv3d(width, c1, stride=2), AxialPlanar(c1, c1))
        self.feature_att_8 = FeatureGate(192, c1)
        self.conv2 = nn.Sequential(conv3d(c1, c2, stride=2), AxialPlanar(c2, c2))
        self.feature_att_16 = FeatureGate(320, c2)
        self.conv3 = nn.Sequential(conv3d(c2, c3, stride=2), AxialPlanar(c3, c3))
        self.feature_att_32 = FeatureGate(304, c3)
        self.conv3_up = up3d(c3, c2)
        self.agg_0 = _join(c2)
        self.feature_att_up_16 = FeatureGate(320, c2)
        self.conv2_up = up3d(c2, c1)
        self.agg_1 = _join(c1)
        self.feature_att_up_8 = FeatureGate(192, c1)
        self.conv1_up = up3d(c1, width)
        self.conv_patch = nn.Sequential(
            nn.Conv3d(width, width, 4, stride=4, groups=width), nn.BatchNorm3d(width)
        )
        self.atts = nn.ModuleDict(
            {"4": DisparityTransformer(width, layers=4, hidden=width, axis=attention_axis)}
        )
        self.conv_out = nn.Sequential(AxialPlanar(width, width), AxialPlanar(width, width))

    def forward(self, volume: Tensor, x8: Tensor, x16: Tensor, x32: Tensor) -> Tensor:
        """Return the filtered volume; x8 to x32 are 192, 320, 304 channels at 1/8, 1/16, 1/32."""
        v8 = self.feature_att_8(self.conv1(volume), x8)  # (B, 2C, D/2, H/8, W/8)
        v16 = self.feature_att_16(self.conv2(v8), x16)  # (B, 4C, D/4, H/16, W/16)
        v32 = self.feature_att_32(self.conv3(v16), x32)  # (B, 6C, D/8, H/32, W/32)
        v16 = self.up_to_16(v32, v16, x16)
        v8 = self.up_to_8(v16, v8, x8)
        return self.up_to_4(self.conv1_up(v8), volume)

    def up_to_16(self, v32: Tensor, skip: Tensor, x16: Tensor) -> Tensor:
        """Join the volumes at 1/32 and 1/16, (B, 4C, D/4, H/16, W/16)."""
        joined = self.agg_0(torch.cat([self.conv3_up(v32), skip], 1))
        return self.feature_att_up_16(joined, x16)

    def up_to_8(self, v16: Tensor, skip: Tensor, x8: Tensor) -> Tensor:
        """Join the volumes at 1/16 and 1/8, (B, 2C, D/2, H/8, W/8)."""
        joined = self.agg_1(torch.cat([self.conv2_up(v16), skip], 1))
        return self.feature_att_up_8(joined, x8)

    def up_to_4(self, filtered: Tensor, volume: Tensor) -> Tensor:
        """Add what the transformer makes of the unfiltered volume, (B, C, D, H/4, W/4)."""
        patches = self.atts["4"](self.conv_patch(volume))  # (B, C, D/4, H/16, W/16)
        patches = F.interpolate(patches, scale_factor=4, mode="trilinear")
        return self.conv_out(filtered + patches)


def volume_stem(inputs: int, width: int) -> nn.Sequential:
    """Return the layers before the hourglass, (B, inputs, D, h, w) to (B, width, D, h, w)."""
    return nn.Sequential(
        nn.Conv3d(inputs, width, 1), conv3d(width, width), Residual3d(width), Residual3d(width)
    )


def volume_classifier(width: int) -> nn.Sequential:
    """Return the layers after the hourglass, (B, width, D, h, w) to logits (B, 1, D, h, w)."""
    half = width // 2
    return nn.Sequential(conv3d(width, half), Residual3d(half), nn.Conv3d(half, 1, 7, padding=3))


def _join(width: int) -> nn.Sequential:
    """Return what reduces a volume and its skip to ``width`` channels."""
    return nn.Sequential(
        conv3d(2 * width, width, kernel=1), AxialPlanar(width, width), AxialPlanar(width, width)
    )
