"""Recurrent refinement of a disparity, as in Selective-IGEV: motion features and their GRU."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


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
