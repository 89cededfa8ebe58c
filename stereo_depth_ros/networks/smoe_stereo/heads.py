"""Features to match by, and the states and context that the refinement starts from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import ResidualBlock
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm
from stereo_depth_ros.networks.smoe_stereo.update import HIDDEN


class MatchingEncoder(nn.Module):
    """Matching features: a small CNN on the image, joined by the finest map of the backbone."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, padding=3)
        self.norm = InstanceNorm()
        self.layer_1 = nn.Sequential(_residual(64, 64), _residual(64, 64))
        self.layer_2 = nn.Sequential(_residual(64, 128, stride=2), _residual(128, 128))
        self.final_output = nn.Sequential(
            nn.Conv2d(features + 128, 256, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(),
            nn.Conv2d(256, 256, 1),
        )

    def forward(self, images: Tensor, features: Tensor) -> Tensor:
        """``images`` (B, 3, H, W) and ``features`` (B, F, H/4, W/4) give (B, 256, H/4, W/4)."""
        x = F.relu(self.norm(self.conv1(images)))  # (B, 64, H/2, W/2)
        x = self.layer_2(self.layer_1(x))  # (B, 128, H/4, W/4)
        return self.final_output(torch.cat([features, x], 1))


class ContextDecoder(nn.Module):
    """First hidden states and context of the three scales, from the left view's features.

    The scales are 1/4, 1/8 and 1/16; the names 08, 16 and 32 are those of the weights.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.adapts = features != HIDDEN
        if self.adapts:
            self.vfm_08 = _adapter(features)
            self.vfm_32 = _adapter(features)
        self.outputs08 = nn.ModuleList([_residual_output(), _residual_output()])
        self.outputs16 = nn.ModuleList([_residual_output(), _residual_output()])
        self.outputs32 = nn.ModuleList([_output(), _output()])

    def forward(self, maps: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
        """Return (hidden, context), (B, 128, h, w) both and linear, of each of the three scales.

        ``maps`` are (B, F, h, w), fine to coarse.
        """
        fine, middle, coarse = maps
        if self.adapts:
            # The published network adapts its 1/8 map with the weights of the 1/4 one.
            fine, middle, coarse = self.vfm_08(fine), self.vfm_08(middle), self.vfm_32(coarse)
        return [
            (hidden(x), context(x))
            for (hidden, context), x in (
                (self.outputs08, fine),
                (self.outputs16, middle),
                (self.outputs32, coarse),
            )
        ]


def _residual(inputs: int, outputs: int, stride: int = 1) -> ResidualBlock:
    return ResidualBlock(inputs, outputs, lambda _channels: InstanceNorm(), stride)


def _adapter(features: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(features, HIDDEN, 3, padding=1), InstanceNorm(), nn.ReLU())


def _residual_output() -> nn.Sequential:
    return nn.Sequential(_residual(HIDDEN, HIDDEN), _output())


def _output() -> nn.Conv2d:
    return nn.Conv2d(HIDDEN, HIDDEN, 3, padding=1)
