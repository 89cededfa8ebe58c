"""One step of the refinement, over three scales."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.foundation_stereo.context import HIDDEN
from stereo_depth_ros.networks.layers.resampling import enlarge, halve
from stereo_depth_ros.networks.layers.selective_gru import (
    DisparityHead,
    MotionEncoder,
    SelectiveGru,
)


class UpdateBlock(nn.Module):
    """Selective GRUs at 1/16, 1/8 and 1/4, and the heads that read the finest state.

    ``lookup`` is the number of channels looked up.
    """

    def __init__(self, lookup: int) -> None:
        super().__init__()
        self.encoder = MotionEncoder(lookup, (256, 256), (64, 64), HIDDEN - 1, kernel=3)
        self.gru16 = SelectiveGru(2 * HIDDEN, HIDDEN)
        self.gru08 = SelectiveGru(3 * HIDDEN, HIDDEN)
        self.gru04 = SelectiveGru(3 * HIDDEN, HIDDEN)
        self.disp_head = DisparityHead(HIDDEN, HIDDEN, (4 * HIDDEN, 4 * HIDDEN))
        self.mask = nn.Sequential(
            nn.Conv2d(HIDDEN, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 32, 3, padding=1),
            nn.ReLU(),
        )

    def forward(
        self,
        hidden: Sequence[Tensor],
        context: Sequence[Tensor],
        selection: Sequence[Tensor],
        disparity: Tensor,
        lookup: Tensor,
    ) -> tuple[list[Tensor], Tensor]:
        """Return the next ``hidden`` and what to add to ``disparity``, float32.

        ``hidden`` and ``context`` (B, 128, h, w) and ``selection`` (B, 1, h, w) are fine to
        coarse, ``disparity`` is (B, 1, H/4, W/4) and ``lookup`` what was read there.
        """
        h4, h8, h16 = hidden
        h16 = self.gru16(h16, torch.cat([context[2], halve(h8)], 1), selection[2])
        inputs = torch.cat([context[1], halve(h4), enlarge(h16, h8)], 1)
        h8 = self.gru08(h8, inputs, selection[1])
        motion = self.encoder(disparity, lookup)
        inputs = torch.cat([context[0], motion, enlarge(h8, h4)], 1)
        h4 = self.gru04(h4, inputs, selection[0])
        return [h4, h8, h16], self.disp_head(h4).float()

    def upsampling_feature(self, hidden: Sequence[Tensor]) -> Tensor:
        """Map the finest hidden state to (B, 32, H/4, W/4)."""
        return 0.25 * self.mask(hidden[0])
