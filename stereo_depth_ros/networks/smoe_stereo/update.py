"""Correlation of both views and the recurrent refinement that reads it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.distribution import mass_around
from stereo_depth_ros.networks.layers.lookup import halve_table, taps_around
from stereo_depth_ros.networks.layers.resampling import enlarge, halve
from stereo_depth_ros.networks.layers.volume import all_pairs_correlation

LEVELS = 4
RADIUS = 4
HIDDEN = 128
STRIDE = 4  # px of the image in one step of the refined map


class CorrelationPyramid:
    """The scaled inner products of every left feature with all right ones of its row.

    Each of the four levels has half as many right columns as the one before it. Disparities count
    in columns.
    """

    def __init__(self, left: Tensor, right: Tensor) -> None:
        """``left`` and ``right`` are features (B, C, h, w), w a multiple of 8."""
        _, channels, _, width = left.shape
        table = all_pairs_correlation(left * channels**-0.5, right)  # (B, 1, w right, h, w)
        self.levels = [table]
        for _ in range(LEVELS - 1):
            self.levels.append(halve_table(self.levels[-1]))
        self.column = torch.arange(width, device=left.device, dtype=torch.float32)  # (w,)

    def __call__(self, disparity: Tensor) -> Tensor:
        """Read 4 columns to both sides of ``disparity`` (B, 1, h, w): (B, 36, h, w), by levels."""
        column = self.column - disparity
        taps = [taps_around(table, column / 2**i, RADIUS) for i, table in enumerate(self.levels)]
        return torch.cat(taps, 2)[:, 0]

    def share(self, disparity: Tensor) -> Tensor:
        """Return how much of the row's softmax lies around ``disparity``, (B, 1, h, w) both."""
        return mass_around(self.levels[0][:, 0].softmax(1), self.column - disparity)


class ConvGRU(nn.Module):
    """Convolutional gated recurrent unit with an input ``inputs`` channels wide."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.convz = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)
        self.convr = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)
        self.convq = nn.Conv2d(HIDDEN + inputs, HIDDEN, 3, padding=1)

    def forward(self, hidden: Tensor, context: Sequence[Tensor], *inputs: Tensor) -> Tensor:
        """Return the next ``hidden`` (B, 128, h, w); ``context`` is a bias map for each gate."""
        both = torch.cat([hidden, *inputs], 1)
        update = torch.sigmoid(self.convz(both) + context[0])
        reset = torch.sigmoid(self.convr(both) + context[1])
        both = torch.cat([reset * hidden, *inputs], 1)
        candidate = torch.tanh(self.convq(both) + context[2])
        return (1 - update) * hidden + update * candidate


class MotionEncoder(nn.Module):
    """Merge the flow so far and what the correlation holds there."""

    def __init__(self) -> None:
        super().__init__()
        self.convc1 = nn.Conv2d(LEVELS * (2 * RADIUS + 1), 64, 1)
        self.convc2 = nn.Conv2d(64, 64, 3, padding=1)
        self.convf1 = nn.Conv2d(2, 64, 7, padding=3)
        self.convf2 = nn.Conv2d(64, 64, 3, padding=1)
        self.conv = nn.Conv2d(128, HIDDEN - 2, 3, padding=1)

    def forward(self, flow: Tensor, correlation: Tensor) -> Tensor:
        """``flow`` (B, 2, h, w), x and y, and ``correlation`` (B, 36, h, w): (B, 128, h, w)."""
        correlation = F.relu(self.convc2(F.relu(self.convc1(correlation))))
        features = F.relu(self.convf2(F.relu(self.convf1(flow))))
        merged = F.relu(self.conv(torch.cat([correlation, features], 1)))
        return torch.cat([merged, flow], 1)


class FlowHead(nn.Module):
    """The step of the flow, x and y; the y is there in the weights only."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(HIDDEN, 256, 3, padding=1)
        self.conv2 = nn.Conv2d(256, 2, 3, padding=1)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (B, 2, h, w), in steps."""
        return self.conv2(F.relu(self.conv1(hidden)))


class UpdateBlock(nn.Module):
    """One refinement step over three scales, coarse to fine.

    The scales are 1/4, 1/8 and 1/16; the names 08, 16 and 32 are those of the weights.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = MotionEncoder()
        self.gru08 = ConvGRU(2 * HIDDEN)
        self.gru16 = ConvGRU(2 * HIDDEN)
        self.gru32 = ConvGRU(HIDDEN)
        self.flow_head = FlowHead()
        self.mask = nn.Sequential(
            nn.Conv2d(HIDDEN, 256, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(256, 9 * STRIDE * STRIDE, 1),
        )

    def forward(
        self,
        hidden: Sequence[Tensor],
        context: Sequence[Sequence[Tensor]],
        disparity: Tensor,
        correlation: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        """Return the next ``hidden`` (fine to coarse) and what to add to ``disparity``, in steps.

        ``disparity`` is (B, 1, h, w) float32, ``correlation`` what was read there (B, 36, h, w).
        """
        fine, middle, coarse = hidden
        coarse = self.gru32(coarse, context[2], halve(middle))
        middle = self.gru16(middle, context[1], halve(fine), enlarge(coarse, middle))
        flow = torch.cat([-disparity, torch.zeros_like(disparity)], 1)
        motion = self.encoder(flow, correlation)
        fine = self.gru08(fine, context[0], motion, enlarge(middle, fine))
        return [fine, middle, coarse], -self.flow_head(fine)[:, :1].float()

    def upsampling_mask(self, fine: Tensor) -> Tensor:
        """Return the logits for `convex_upsample` (B, 144, h, w) of the 1/4 hidden state."""
        return 0.25 * self.mask(fine)
