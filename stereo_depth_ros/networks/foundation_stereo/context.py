"""What the refinement starts from: hidden states and context of the left view at three scales."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import ResidualBlock, conv2d

HIDDEN = 128


class ContextNet(nn.Module):
    """A residual network on the left image, joined at 1/4 by Depth Anything's feature."""

    def __init__(self, mono_channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, padding=3)
        self.norm1 = nn.BatchNorm2d(64)
        self.layer1 = _layer(64, 64, stride=1)
        self.layer2 = _layer(64, 96, stride=2)
        self.layer3 = _layer(96, HIDDEN, stride=2)
        self.conv2 = conv2d(HIDDEN + mono_channels, HIDDEN, 3)
        self.layer4 = _layer(HIDDEN, HIDDEN, stride=2)
        self.layer5 = _layer(HIDDEN, HIDDEN, stride=2)
        self.outputs04 = nn.ModuleList([_residual_output(), _residual_output()])
        self.outputs08 = nn.ModuleList([_residual_output(), _residual_output()])
        self.outputs16 = nn.ModuleList([_output(), _output()])

    def forward(self, left: Tensor, mono: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Return (hidden, context), (B, 128, h, w) both and linear, at 1/4, 1/8 and 1/16.

        ``left`` is the normalised image (B, 3, H, W), ``mono`` (B, mono_channels, H/4, W/4).
        """
        x = F.relu(self.norm1(self.conv1(left)))  # (B, 64, H, W)
        x = self.layer3(self.layer2(self.layer1(x)))  # (B, 128, H/4, W/4)
        c4 = self.conv2(torch.cat([x, mono], 1))
        c8 = self.layer4(c4)
        c16 = self.layer5(c8)
        scales = (self.outputs04, c4), (self.outputs08, c8), (self.outputs16, c16)
        return [(hidden(c), context(c)) for (hidden, context), c in scales]


def _layer(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        ResidualBlock(inputs, outputs, nn.BatchNorm2d, stride),
        ResidualBlock(outputs, outputs, nn.BatchNorm2d),
    )


def _residual_output() -> nn.Sequential:
    return nn.Sequential(ResidualBlock(HIDDEN, HIDDEN, nn.BatchNorm2d), _output())


def _output() -> nn.Conv2d:
    return nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
