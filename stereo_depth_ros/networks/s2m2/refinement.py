"""Refinement: what is uncertain from all the rest, then everything from the cost around it."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.layers.lookup import taps_around
from stereo_depth_ros.networks.s2m2.blocks import UNet, conv, two_convs
from stereo_depth_ros.networks.s2m2.matching import column_numbers


def logit(probability: Tensor, margin: float) -> Tensor:
    """Return log odds, finite by keeping ``margin`` away from 0 and 1."""
    probability = probability.clamp(margin, 1 - margin)
    return (probability / (1 - probability)).log()


class GlobalRefiner(nn.Module):
    """Disparity for the pixels whose first match is not trusted, from all the others."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.init_feat = two_convs(2 + channels, channels, channels, (3, 1))
        self.refine_unet = UNet(channels, channels, channels)
        self.out_feat = nn.Sequential(conv(channels, 1, 3))

    def forward(self, features: Tensor, disparity: Tensor, confidence: Tensor) -> Tensor:
        """Return disparity (B, 1, H4, W4), unchanged where the confidence is above 0.2."""
        trusted = (confidence > 0.2).float()
        inputs = [trusted * disparity / 100, logit(trusted * confidence, 0.1), features]
        guess = 100 * self.out_feat(self.refine_unet(self.init_feat(torch.cat(inputs, 1)))[0])
        return trusted * disparity + (1 - trusted) * guess


class LocalRefiner(nn.Module):
    """One step: the cost around the match goes through a U-Net into a recurrent unit."""

    def __init__(self, channels: int, allow_negative: bool) -> None:
        super().__init__()
        self.allow_negative = allow_negative
        self.disp_feat = two_convs(1, 96, 96, (3, 3))
        self.corr_feat1 = two_convs(9, 96, 64, (1, 1))
        self.corr_feat2 = two_convs(9, 96, 64, (1, 1))
        self.conf_occ_feat = two_convs(2, 64, 32, (3, 1))
        self.disp_corr_ctx_cat = two_convs(256 + channels, 2 * channels, channels, (1, 3))
        self.refine_unet = UNet(channels, channels, 2 * channels)
        self.gru = SeparableGru(channels)
        self.disp_update = two_convs(channels, channels, 1, (3, 3), last_bias=False)
        self.conf_occ_update = two_convs(channels, channels, 2, (3, 3), last_bias=False)

    def forward(
        self,
        hidden: Tensor,  # (B, C, H4, W4)
        context: Tensor,  # (B, C, H4, W4)
        scores: tuple[Tensor, Tensor],  # (B, 1, W4 or W8 right, H4, W4 left)
        disparity: Tensor,  # (B, 1, H4, W4), as the other two
        confidence: Tensor,
        visibility: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return hidden state, disparity, confidence and visibility, refined."""
        left = column_numbers(disparity)
        right = left - disparity  # where the match is
        odds = torch.cat([logit(confidence, 0.01), logit(visibility, 0.01)], 1)
        fine, coarse = (
            taps_around(level, right / scale, radius=4).squeeze(1) / 16  # (B, 9, H4, W4)
            for scale, level in enumerate(scores, start=1)
        )
        features = [
            self.disp_feat(disparity / 100),
            self.corr_feat1(fine),
            self.corr_feat2(coarse),
            context,
            self.conf_occ_feat(odds),
        ]
        joined = self.disp_corr_ctx_cat(torch.cat(features, 1))
        hidden = self.gru(hidden, self.refine_unet(joined)[0])

        disparity = disparity + self.disp_update(hidden)
        if not self.allow_negative:
            disparity = disparity.clamp(min=0)
        confidence, visibility = (odds + self.conf_occ_update(hidden)).sigmoid().split(1, 1)
        return hidden, disparity, confidence, visibility * (left - disparity >= 0)


class SeparableGru(nn.Module):
    """A convolutional GRU that looks along columns, then along rows."""

    def __init__(self, channels: int) -> None:
        super().__init__()

        def gates(kernel: tuple[int, int], padding: tuple[int, int]) -> Iterator[nn.Conv2d]:
            return (nn.Conv2d(2 * channels, channels, kernel, padding=padding) for _ in range(3))

        self.convz1, self.convr1, self.convq1 = gates((3, 1), (1, 0))
        self.convz2, self.convr2, self.convq2 = gates((1, 3), (0, 1))

    def forward(self, hidden: Tensor, x: Tensor) -> Tensor:
        """Return the new hidden state, (B, C, h, w) as the old one and ``x``."""
        hidden = _gate(hidden, x, self.convz1, self.convr1, self.convq1)
        return _gate(hidden, x, self.convz2, self.convr2, self.convq2)


def _gate(h: Tensor, x: Tensor, update: nn.Module, reset: nn.Module, new: nn.Module) -> Tensor:
    both = torch.cat([h, x], 1)
    z, r = update(both).sigmoid(), reset(both).sigmoid()
    return (1 - z) * h + z * new(torch.cat([r * h, x], 1)).tanh()
