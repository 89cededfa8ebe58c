"""The U-Net that corrects what plain matching and the prior say."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.lite.blocks import Merge, Residual, conv
from stereo_depth_ros.networks.lite.matching import CANDIDATES


class Prior(NamedTuple):
    """A matcher's answer summed up over blocks of 4 x 4 pixels, (B, 1, H/4, W/4) each.

    ``near`` and ``far`` are the largest and the smallest disparity there, in steps of 4 px;
    ``confidence`` is the mean of all 16 pixels.
    """

    near: Tensor
    far: Tensor
    confidence: Tensor


def summarise(prior: Tensor, confidence: Tensor) -> Prior:
    """Sum up ``prior`` (B, 1, H, W), px, and its ``confidence``, 0 for a guess."""
    near, far = F.max_pool2d(prior, 4), -F.max_pool2d(-prior, 4)
    return Prior(near / 4, far / 4, F.avg_pool2d(confidence, 4))


class Aggregation(nn.Module):
    """U-Net over the volumes: to 32 channels at 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.tensor([8.0, 1.0]))  # in what is known, and in a guess
        self.entry = conv(CANDIDATES + 24 + 4, 32)
        self.down8 = conv(32, 64, stride=2)
        self.eighth = nn.Sequential(conv(64 + 24 + 48, 64, kernel=1), Residual(64))
        self.down16 = conv(64, 96, stride=2)
        self.sixteenth = nn.Sequential(conv(96 + 12 + 72, 96, kernel=1), Residual(96))
        self.height = nn.Parameter(torch.zeros(1, 96, 1, 1))  # how high a pixel lies: sky is above
        self.down32 = conv(96, 128, stride=2)
        self.thirty_second = nn.Sequential(Residual(128), Residual(128))
        self.up16 = Merge(128, 96)
        self.up8 = Merge(96, 64)
        self.up4 = Merge(64, 32)

    def forward(
        self, volumes: list[Tensor], left: list[Tensor], prior: Prior
    ) -> tuple[Tensor, Tensor]:
        """Return what is known, (B, 32, H/4, W/4), and the prior among the candidates, (B, 48, …).

        ``volumes`` and ``left`` features are those at 1/4, 1/8 and 1/16.
        """
        candidates = torch.arange(CANDIDATES, device=prior.near.device).view(1, -1, 1, 1)

        def tent(disparity: Tensor) -> Tensor:
            return (1 - (candidates - disparity).abs()).clamp(min=0)

        trust = self.trust[0] * prior.confidence + self.trust[1] * (prior.near > 0)
        bump = trust * (tent(prior.near) + tent(prior.far))
        spread = ((prior.near - prior.far) / 4).clamp(max=4)
        seen = [volumes[0] + bump, left[0], prior.near / 8, prior.far / 8, spread, prior.confidence]
        fine = self.entry(torch.cat(seen, 1))
        middle = self.eighth(torch.cat([self.down8(fine), volumes[1], left[1]], 1))
        coarse = self.sixteenth(torch.cat([self.down16(middle), volumes[2], left[2]], 1))
        rows = torch.linspace(-1, 1, coarse.shape[2], device=coarse.device).view(1, 1, -1, 1)
        coarse = coarse + self.height * rows
        coarse = self.up16(self.thirty_second(self.down32(coarse)), coarse)
        return self.up4(self.up8(coarse, middle), fine), bump
