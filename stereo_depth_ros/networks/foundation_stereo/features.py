"""Features of both views: EdgeNeXt-S, tuned beside the frozen Depth Anything V2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import ConvNorm, ResidualBlock
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES, DinoV2
from stereo_depth_ros.networks.layers.dpt import DPT_SIZES, DPTHead
from stereo_depth_ros.networks.layers.edgenext import EdgeNeXtPyramid
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm
from stereo_depth_ros.networks.layers.resampling import resample
from stereo_depth_ros.networks.layers.size import fix_size

_GRAIN = 112  # lcm(14, 16): the transformer sees sides that are multiples of it
_LARGEST = 1344


class SideTunedFeatures(EdgeNeXtPyramid):
    """Maps at 1/4 to 1/32; the finest one fuses both networks, with ``channels`` of them."""

    def __init__(self, vit: str) -> None:
        super().__init__()
        self.dino = nn.ModuleDict({"depth_anything": DepthAnything(vit)})
        self.mono_channels = DPT_SIZES[vit].features // 2
        self.channels = 96 + self.mono_channels
        conv = nn.Conv2d(self.channels, self.channels, 3, padding=1, bias=False)
        self.conv4 = nn.Sequential(
            ConvNorm(conv, InstanceNorm()),
            *(ResidualBlock(self.channels, self.channels, _instance_norm) for _ in range(2)),
        )

    def forward(self, views: Tensor) -> tuple[list[Tensor], Tensor]:
        """Map normalised views (N, 3, H, W), H and W multiples of 32, to their features.

        Returns maps of ``channels``, 192, 320 and 304 channels at 1/4, 1/8, 1/16 and 1/32, and
        Depth Anything's own feature (N, mono_channels, H/4, W/4).
        """
        mono = self.dino["depth_anything"](views)
        x4, *coarser = self.pyramid(views)
        return [self.conv4(torch.cat([x4, mono], 1)), *coarser], mono


class DepthAnything(nn.Module):
    """Depth Anything V2 up to the feature before its depth."""

    def __init__(self, vit: str) -> None:
        super().__init__()
        self.pretrained = DinoV2(VIT_SIZES[vit])
        self.depth_head = DPTHead(VIT_SIZES[vit].width, DPT_SIZES[vit])

    def forward(self, views: Tensor) -> Tensor:
        """Map normalised views (N, 3, H, W) to (N, features / 2, H/4, W/4)."""
        height, width = fix_size(views)
        size = vit_size(height, width)
        scale = size[0] / height, size[1] / width
        feature = self.depth_head(self.pretrained(resample(views, size, scale)))
        # By way of the transformer's own resolution, as the weights were trained.
        for target in (size, (height // 4, width // 4)):
            feature = F.interpolate(feature, target, mode="bilinear", align_corners=True)
        return feature


def vit_size(height: int, width: int) -> tuple[int, int]:
    """Return the size at which the transformer sees an image: multiples of 112, at most 1344."""
    height, width = _round_up(height, _GRAIN), _round_up(width, _GRAIN)
    if max(height, width) <= _LARGEST:
        return height, width
    if height > width:
        return _LARGEST, _round_up(width * _LARGEST, height * _GRAIN) // height
    return _round_up(height * _LARGEST, width * _GRAIN) // width, _LARGEST


def _round_up(length: int, multiple: int) -> int:
    return -(-length // multiple) * multiple


def _instance_norm(_channels: int) -> nn.Module:
    return InstanceNorm()
