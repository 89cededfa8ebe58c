"""Recurrent refinement of a disparity, as in Selective-IGEV: gates, motion features, GRU, head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import ConvNeXtBlock


class ChannelGate(nn.Module):
    """A weight for each channel from its global mean and maximum."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Conv2d(channels, reduced, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(reduced, channels, 1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the weights (B, C, 1, 1), 0 to 1, of ``features`` (B, C, H, W)."""
        mean, largest = features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)
        return (self.fc(mean) + self.fc(largest)).sigmoid()


class SpatialSelection(nn.Module):
    """The share of small kernels at each pixel, from the mean and the largest channel there.

    ``name`` is that of the convolution in published weights.
    """

    def __init__(self, name: str = "samconv") -> None:
        super().__init__()
        self.name = name
        self.add_module(name, nn.Conv2d(2, 1, 7, padding=3, bias=False))

    def forward(self, context: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, 1, H, W), 0 to 1."""
        mean, largest = context.mean(1, keepdim=True), context.amax(1, keepdim=True)
        return self.get_submodule(self.name)(torch.cat([mean, largest], 1)).sigmoid()


def _conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class MotionEncoder(nn.Module):
    """Features of a disparity and of what was looked up around it, the disparity itself last.

    ``lookup`` is the number of channels looked up, ``lookup_widths`` and ``disparity_widths`` those
    of the two convolutions of each branch, ``outputs`` the channels before the disparity is
    appended.
    """

    def __init__(
        self,
        lookup: int,
        lookup_widths: tuple[int, int],
        disparity_widths: tuple[int, int],
        outputs: int,
        kernel: int,
    ) -> None:
        super().__init__()
        self.convc1 = _conv(lookup, lookup_widths[0], 1)
        self.convc2 = _conv(lookup_widths[0], lookup_widths[1], 3)
        self.convd1 = _conv(1, disparity_widths[0], 7)
        self.convd2 = _conv(disparity_widths[0], disparity_widths[1], 3)
        self.conv = _conv(lookup_widths[1] + disparity_widths[1], outputs, kernel)

    def forward(self, disparity: Tensor, lookup: Tensor) -> Tensor:
        """Map (B, 1, H, W) and (B, lookup, H, W) to (B, outputs + 1, H, W)."""
        cost = F.relu(self.convc2(F.relu(self.convc1(lookup))))
        shape = F.relu(self.convd2(F.relu(self.convd1(disparity))))
        motion = F.relu(self.conv(torch.cat([cost, shape], 1)))
        return torch.cat([motion, disparity], 1)


class _Gates(nn.Module):
    """A convolutional GRU whose gates see ``gated`` channels made of state and input."""

    def __init__(self, inputs: int, hidden: int, gated: int, kernel: int) -> None:
        super().__init__()
        self.convz = _conv(gated, hidden, kernel)
        self.convr = _conv(gated, hidden, kernel)
        self.convq = _conv(hidden + inputs, hidden, kernel)

    def forward(self, hidden: Tensor, inputs: Tensor, gated: Tensor) -> Tensor:
        update = self.convz(gated).sigmoid()
        reset = self.convr(gated).sigmoid()
        proposal = self.convq(torch.cat([reset * hidden, inputs], 1)).tanh()
        return (1 - update) * hidden + update * proposal


class SelectiveGru(nn.Module):
    """Two GRUs with 1 x 1 and 3 x 3 kernels, mixed at each pixel by an attention map.

    ``mixed`` and ``gated`` are the widths of the two convolutions in front of the gates; None is
    that of their input.
    """

    def __init__(
        self, inputs: int, hidden: int, mixed: int | None = None, gated: int | None = None
    ) -> None:
        super().__init__()
        mixed = mixed or inputs
        gated = gated or mixed + hidden
        self.conv0 = nn.Sequential(_conv(inputs, mixed, 3), nn.ReLU())
        self.conv1 = nn.Sequential(_conv(mixed + hidden, gated, 3), nn.ReLU())
        self.small_gru = _Gates(mixed, hidden, gated, 1)
        self.large_gru = _Gates(mixed, hidden, gated, 3)

    def forward(self, hidden: Tensor, inputs: Tensor, attention: Tensor) -> Tensor:
        """Return the next state.

        ``hidden`` (B, hidden, H, W), ``inputs`` (B, inputs, H, W), ``attention`` (B, 1, H, W) in
        0 to 1, which is the share of the small kernels.
        """
        inputs = self.conv0(inputs)
        gated = self.conv1(torch.cat([inputs, hidden], 1))
        small = self.small_gru(hidden, inputs, gated)
        large = self.large_gru(hidden, inputs, gated)
        return attention * small + (1 - attention) * large


class DisparityHead(nn.Module):
    """Two ConvNeXt blocks of ``width`` channels, ``mlps`` wide inside, between convolutions."""

    def __init__(self, hidden: int, width: int, mlps: tuple[int, int]) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(hidden, width, 3, padding=1),
            nn.ReLU(),
            *(ConvNeXtBlock(width, mlp, normed=False) for mlp in mlps),
            nn.Conv2d(width, 1, 3, padding=1),
        )

    def forward(self, hidden: Tensor) -> Tensor:
        """Map (B, hidden, H, W) to (B, 1, H, W)."""
        return self.conv(hidden)
