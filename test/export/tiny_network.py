"""A stereo network of a few lines with the parts that the real ones have."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.layers.distribution import mass_around


class TinyNetwork(StereoNetwork):
    """Features, a correlation volume, a soft argmin, upsampling."""

    name, variant, licence = "tiny", "only", "Apache-2.0"
    multiple = 8
    any_size = True
    min_size = 8, 32

    def __init__(self, max_disparity=32):
        super().__init__()
        self.max_disparity, self.planes = max_disparity, max_disparity // 4
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(16),
            nn.GELU(),
            nn.Conv2d(16, 16, 3, stride=2, padding=1),
            nn.GroupNorm(4, 16),
            nn.InstanceNorm2d(16),
            nn.ReLU(),
        )
        self.aggregate = nn.Sequential(
            nn.Conv3d(1, 4, 3, padding=1), nn.LeakyReLU(), nn.Conv3d(4, 1, 3, padding=1)
        )

    def match(self, left, right):
        images = torch.cat([left, right]) / 127.5 - 1
        f_left, f_right = self.features(images).chunk(2)  # (1, 16, H/4, W/4)
        f_right = F.pad(f_right, (self.planes - 1, 0))
        width = f_left.shape[-1]
        planes = [
            (f_left * f_right[..., start : start + width]).mean(1, keepdim=True)
            for start in reversed(range(self.planes))
        ]
        volume = self.aggregate(torch.stack(planes, 2)).squeeze(1)  # (1, D/4, H/4, W/4)
        probability = F.softmax(8 * volume, dim=1)
        steps = torch.arange(probability.shape[1], dtype=torch.float32).view(1, -1, 1, 1)
        step = (probability * steps).sum(1, keepdim=True)
        disparity = F.interpolate(4 * step, scale_factor=4, mode="bilinear")
        confidence = F.interpolate(mass_around(probability, step), scale_factor=4, mode="bilinear")
        return StereoOutput(disparity, confidence)


class GuidedNetwork(TinyNetwork):
    """Takes over its prior where that is certain; elsewhere it shifts what it finds itself."""

    takes_prior = True

    def __init__(self, max_disparity=32):
        super().__init__(max_disparity)
        self.look = nn.Sequential(nn.Conv2d(2, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 1, 1))

    def match(self, left, right, prior, prior_confidence):
        found = super().match(left, right)
        seen = self.look(torch.cat([prior / self.max_disparity, prior_confidence], 1)).float()
        disparity = torch.lerp(found.disparity + seen, prior, prior_confidence)
        return StereoOutput(disparity, torch.maximum(found.confidence, prior_confidence))
