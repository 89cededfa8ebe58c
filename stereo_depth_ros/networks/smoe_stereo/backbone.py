"""Depth Anything V2 adapted by mixtures of experts: features of both views."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.dinov2 import PATCH, VIT_SIZES, Block, DinoV2, ViTSize
from stereo_depth_ros.networks.layers.dpt import DPT_SIZES, DPTSize, Reassemble
from stereo_depth_ros.networks.layers.size import fix_size
from stereo_depth_ros.networks.smoe_stereo.mixture import MixtureBlock

ADAPTED_BLOCKS = 12  # from the first on; ViT-L has 24


class Backbone(nn.Module):
    """Feature maps at 1/4, 1/8 and 1/16 from three of the transformer's four taps.

    Depth Anything makes a fourth map, at 1/32, which SMoE-Stereo does not read. Neither that map
    nor the blocks after the third tap are here.
    """

    def __init__(self, size: str, selective: bool) -> None:
        super().__init__()
        self.pretrained = MixtureViT(VIT_SIZES[size], selective)
        self.depth_head = Pyramid(VIT_SIZES[size].width, DPT_SIZES[size])

    def forward(self, views: Tensor) -> list[Tensor]:
        """Map normalised views (2B, 3, H, W), left ones first, sides multiples of 32, to maps.

        They are (2B, F, H/4, W/4), and of the left views alone (B, F, H/8, W/8) and
        (B, F, H/16, W/16).
        """
        # Patches of 14 px at 7/8 of the scale are patches of 16 px.
        size = [side * 7 // 8 for side in fix_size(views)]
        views = F.interpolate(views, size, mode="bilinear", align_corners=False)
        return self.depth_head(self.pretrained(views))


class MixtureViT(DinoV2):
    """DINOv2 up to its third tap, the first twelve blocks adapted by mixtures of experts."""

    def __init__(self, size: ViTSize, selective: bool) -> None:
        super().__init__(size._replace(depth=0, taps=size.taps[:3]))
        self.blocks = nn.ModuleList(
            MixtureBlock(size.width, size.heads, selective)
            if index < ADAPTED_BLOCKS
            else Block(size.width, size.heads)
            for index in range(self.taps[-1] + 1)
        )

    def forward(self, views: Tensor) -> list[Tensor]:
        """Map views (2B, 3, 14 h, 14 w), left ones first, to three maps (., C, h, w).

        The first holds all views, the others the left ones.
        """
        pairs = views.shape[0] // 2
        height, width = (side // PATCH for side in fix_size(views))
        tokens, maps = self.embed(views), []  # (2B, 1 + h w, C)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, (height, width)) if index < ADAPTED_BLOCKS else block(tokens)
            if index in self.taps:
                maps.append(self.unflatten(tokens, height, width))
                # Views are matched by the first map; the others only give the left one's context.
                tokens = tokens[:pairs]
        return maps


class Pyramid(Reassemble):
    """The first three maps of the dense prediction head, not fused."""

    def __init__(self, width: int, size: DPTSize) -> None:
        super().__init__(width, size)
        del self.projects[3], self.resize_layers[3], self.scratch.layer4_rn

    def forward(self, taps: list[Tensor]) -> list[Tensor]:
        """Map three (., width, h, w) to (., features, ., .) of 4, 2 and 1 times (h, w)."""
        return self.pyramid(taps)
