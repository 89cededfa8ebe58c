"""Which of two disparities explains the left view better."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import size_of
from stereo_depth_ros.networks.lite.blocks import conv


class Judgement(nn.Module):
    """How well two disparities of every pixel explain the left view by the right one."""

    CHANNELS = 16

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weigh = conv(features + 4 * 4, self.CHANNELS)

    def forward(
        self,
        matched: Tensor,
        prior: tuple[Tensor, Tensor],
        greys: tuple[Tensor, Tensor],
        features: Tensor,
    ) -> Tensor:
        """Return ``CHANNELS`` features at 1/2.

        ``matched``, and disparity and confidence of the ``prior``, are (B, 4, H/2, W/2), the four
        pixels of each, px; the ``greys`` of both views (B, 1, H, W), about -1 to 1; ``features``
        (B, features, H/2, W/2).
        """
        left, right = greys
        there = four_of_each(left).repeat(1, 2, 1, 1)
        apart = (there - sample(right, torch.cat([matched, prior[0]], 1))).abs()
        off = (prior[0] - matched).clamp(-8, 8) / 2
        return self.weigh(torch.cat([features, 4 * apart.clamp(max=0.5), off, prior[1]], 1))


def four_of_each(x: Tensor) -> Tensor:
    """Turn (B, 1, 2H, 2W) into (B, 4, H, W): the pixels of each 2 x 2, row by row."""
    return F.pixel_unshuffle(x, 2)


def sample(image: Tensor, disparity: Tensor) -> Tensor:
    """Return image(x - disparity), (B, 4 n, H, W), for an ``image`` (B, 1, 2H, 2W).

    ``disparity`` (B, 4 n, H, W), px of the image, is n times that of the four pixels of each 2 x 2.
    Beyond the image its edge goes on.
    """
    batch, channels = (int(count) for count in disparity.shape[:2])
    half_height, half_width = size_of(disparity)
    height, width = 2 * half_height, 2 * half_width
    rows, columns = (
        torch.arange(side, device=image.device, dtype=torch.float32).view(-1, 2).T
        for side in (height, width)
    )
    y = rows.repeat_interleave(2, 0).repeat(channels // 4, 1)[..., None]
    x = columns.repeat(channels // 2, 1)[:, None] - disparity
    grid_x = x * (2 / (width - 1)) - 1
    # Summed up, since what is but expanded becomes a constant of the graph, as large as both views.
    grid_y = 0 * grid_x + (y * (2 / (height - 1)) - 1)
    # The channels one below the other, so that one call samples all.
    grid = torch.stack([grid_x, grid_y], 4).reshape(batch, channels * half_height, half_width, 2)
    seen = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return seen.reshape(disparity.shape)
