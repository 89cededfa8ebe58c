"""Recurrent refinement of LAS2-H, at a quarter of the size."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.igev import GROUPS, RADIUS
from stereo_depth_ros.networks.layers.selective_gru import MotionEncoder, SelectiveGru
from stereo_depth_ros.networks.lite_any_stereo.features import FasterNetBlock
from stereo_depth_ros.networks.lite_any_stereo.parts import conv, double, sequence, unit

HIDDEN = 64  # channels of the state and of the context


class UpdateBlock(nn.Module):
    """One step of the refinement, and the features that its last state has for the upsampling."""

    def __init__(self) -> None:
        super().__init__()

        def conv_with_bias(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(inputs, outputs, 3, padding=1)

        taps = 2 * (GROUPS + 1) * (2 * RADIUS + 1)
        self.encoder = MotionEncoder(taps, (128, 128), (32, 32), HIDDEN - 1, kernel=1)
        self.gru04 = SelectiveGru(2 * HIDDEN, HIDDEN)
        self.disp_head = sequence(
            conv=nn.Sequential(
                conv_with_bias(HIDDEN, HIDDEN),
                nn.ReLU(),
                sequence(block=FasterNetBlock(HIDDEN, 4)),
                sequence(block=FasterNetBlock(HIDDEN, 4)),
                conv_with_bias(HIDDEN, 1),
            )
        )
        self.mask = nn.Sequential(
            conv_with_bias(HIDDEN, 32), nn.ReLU(), conv_with_bias(32, 16), nn.ReLU()
        )

    def forward(
        self, hidden: Tensor, context: Tensor, attention: Tensor, disparity: Tensor, taps: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next ``hidden`` and what to add to ``disparity``, float32.

        ``hidden`` and ``context`` are (B, 64, H/4, W/4), ``attention`` and ``disparity``
        (B, 1, H/4, W/4), ``taps`` (B, 162, H/4, W/4) what was looked up there.
        """
        motion = self.encoder(disparity, taps)  # (B, 64, H/4, W/4)
        hidden = self.gru04(hidden, torch.cat([context, motion], 1), attention)
        return hidden, self.disp_head(hidden).float()

    def upsampling_feature(self, hidden: Tensor) -> Tensor:
        """Map the state to (B, 16, H/4, W/4)."""
        return 0.25 * self.mask(hidden)


class UpsamplingMerge(nn.Module):
    """Bring the state's features to twice the size and merge those of the left image into them."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = unit(double(16, 16), nn.LeakyReLU())
        self.conv2 = unit(conv(32, 32, 3), nn.LeakyReLU())

    def forward(self, coarse: Tensor, stem: Tensor) -> Tensor:
        """Map (B, 16, H/4, W/4) and (B, 16, H/2, W/2) to (B, 32, H/2, W/2)."""
        return self.conv2(torch.cat([self.conv1(coarse), stem], 1))
