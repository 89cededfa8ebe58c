"""From 1/4 to full resolution: convex upsampling, and a look at 1/2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.lite.blocks import Residual, conv, double


class Upsampling(nn.Module):
    """Disparity at twice the resolution, as convex combinations of 3x3 neighbours."""

    def __init__(self, known: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(known, 9 * 4, 1)

    def forward(self, disparity: Tensor, known: Tensor) -> Tensor:
        """Map (B, 1, H, W) and what is ``known`` there, (B, known, H, W), to (B, 4, H, W).

        The channels are the four pixels, row by row, that each becomes at twice the resolution,
        and count in px of that.
        """
        height, width = disparity.shape[2:]
        # Nine weights for each of the 4 pixels of a coarse one; the bound keeps exp in float16.
        weights = self.weights(known).float().clamp(-8, 8).exp()
        padded = F.pad(2 * disparity, (1, 1, 1, 1), mode="replicate")
        total = value = torch.zeros_like(disparity)
        for tap, weight in enumerate(weights.split(4, dim=1)):
            row, column = divmod(tap, 3)
            total = total + weight
            value = value + weight * padded[:, :, row : row + height, column : column + width]
        return value / total


class Refinement(nn.Module):
    """A look at 1/2 at the matched disparity, at the prior, and at the edges of the image."""

    REACH = 2
    CHANNELS = 16

    def __init__(self, known: int) -> None:
        super().__init__()
        self.raise_known = nn.Conv2d(known, 6, 1)
        self.entry = conv(16 + 6 + 2 + 8, self.CHANNELS)
        self.body = Residual(self.CHANNELS)
        self.step = nn.Conv2d(self.CHANNELS, 1, 1)

    def forward(
        self,
        disparity: Tensor,
        mass: Tensor,
        prior: tuple[Tensor, Tensor],
        left: Tensor,
        known: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the better disparity and ``CHANNELS`` features, both at 1/2.

        ``disparity`` (B, 1, H/2, W/2) in its pixels and the ``mass`` of its peak, the ``prior`` of
        the four pixels of each (B, 4, H/2, W/2) in theirs and its confidence, ``left`` features
        (B, 16, H/2, W/2), ``known`` (B, known, H/4, W/4).
        """
        off = (prior[0] / 2 - disparity).clamp(-4, 4) * (prior[0] > 0)
        raised = double(self.raise_known(known))
        seen = torch.cat([left, raised, disparity / 16, mass, off, prior[1]], 1)
        features = self.body(self.entry(seen))
        step = self.REACH * torch.tanh(self.step(features).float())
        return (disparity + step).clamp(min=0), features
