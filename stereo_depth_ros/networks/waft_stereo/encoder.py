"""Features of both views at half their size, from an adapted Depth Anything V2."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.dinov2 import PATCH, ViTSize
from stereo_depth_ros.networks.layers.size import fix_size
from stereo_depth_ros.networks.waft_stereo.adapter import AdaptedViT
from stereo_depth_ros.networks.waft_stereo.pyramid import Cascade, Levels, pyramid_widths

GRAIN = 16  # px of the image for each patch


class Encoder(nn.Module):
    """Features to match by, and the first hidden state of the refinement.

    Both have an eighth of the transformer's channels.
    """

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        widths = pyramid_widths(size.width)
        # The nesting is that of the published keys.
        self.encoder = nn.ModuleDict({"base_model": nn.ModuleDict({"model": AdaptedViT(size)})})
        self.fmap_proj = Levels(size.width, widths)
        self.fmap_upsample = Cascade(widths)
        self.hidden_proj = Levels(2 * size.width, widths)
        self.hidden_upsample = Cascade(widths)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map normalised views (2B, 3, H, W), left ones first, sides multiples of 16.

        Returns the features of the left and of the right views and the hidden state,
        (B, C, H/2, W/2) each.
        """
        size = [side // GRAIN * PATCH for side in fix_size(views)]
        views = F.interpolate(views, size, mode="bilinear", align_corners=True)
        maps = self.encoder.get_submodule("base_model.model")(views)
        left, right = self.fmap_upsample(self.fmap_proj(maps)).chunk(2)
        both = [torch.cat(each.chunk(2), 1) for each in maps]  # (B, 2 width, H/16, W/16)
        return left, right, self.hidden_upsample(self.hidden_proj(both))
