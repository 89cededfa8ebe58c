"""FoundationStereo (Wen et al., CVPR 2025), written from its description, for its weights.

A frozen Depth Anything V2 beside a small CNN gives the features; axial convolutions and a
transformer filter a hybrid cost volume; selective GRUs on three scales refine the disparity.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoOutput
from stereo_depth_ros.networks.config import require_min, require_multiple
from stereo_depth_ros.networks.foundation_stereo.context import ContextNet
from stereo_depth_ros.networks.foundation_stereo.features import SideTunedFeatures
from stereo_depth_ros.networks.foundation_stereo.update import UpdateBlock
from stereo_depth_ros.networks.igev import (
    CONCATENATED,
    GROUPS,
    RADIUS,
    HybridVolumeNetwork,
    Start,
    half_stem,
)
from stereo_depth_ros.networks.layers.conv import FeatureGate, UpConv
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES
from stereo_depth_ros.networks.layers.hourglass import Hourglass, volume_classifier, volume_stem
from stereo_depth_ros.networks.layers.selective_gru import ChannelGate, SpatialSelection
from stereo_depth_ros.networks.layers.size import fix_size
from stereo_depth_ros.published import NVIDIA_LICENCE


@dataclass(frozen=True)
class FoundationStereoConfig:
    """How a `FoundationStereo` is built.

    ``vit`` names the size of Depth Anything, ``max_disparity`` is in px, a multiple of 32.
    ``attention_axis`` is "disparity" as in the paper and in the code that trained the published
    weights, or "heads", which the public code has computed since June 2025; see
    ``DisparityTransformer``. With ``hierarchical`` a pass at half the size gives the disparity
    from which the full one starts, for large images.
    """

    vit: str
    max_disparity: int = 416
    iterations: int = 32
    attention_axis: str = "disparity"
    hierarchical: bool = False

    def __post_init__(self) -> None:
        require_multiple(32, max_disparity=self.max_disparity)
        require_min(1, iterations=self.iterations)


VARIANTS = {vit: FoundationStereoConfig(vit) for vit in ("vits", "vitl")}

_DINO = "feature.dino.depth_anything."

# Entries of the published checkpoints that no disparity depends on, as shell patterns.
UNUSED = {
    "stem_4.*",
    "context_zqr_convs.*",
    "cnet.down.*",
    "cnet.norm.*",
    "cnet.layer?.0.norm3.*",  # a second name of downsample.1
    f"{_DINO}pretrained.mask_token",
    f"{_DINO}depth_head.scratch.output_conv2.*",
    f"{_DINO}depth_head.scratch.refinenet4.resConfUnit1.*",
}

_WIDTH = 28  # channels of the volume once it is filtered
_LOOKUP = 2 * (2 * RADIUS + 1) * (_WIDTH + 1)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Return the variant of a checkpoint of these keys and shapes, None if not ours."""
    width = shapes.get(f"{_DINO}pretrained.cls_token", (0,))[-1]
    if "cost_agg.atts.4.sa.0.self_attn.q_proj.weight" not in shapes:
        return None
    return next(({"variant": v} for v in VARIANTS if VIT_SIZES[v].width == width), None)


class FoundationStereo(HybridVolumeNetwork):
    """Refines the disparity by recurrent units on three scales; see `IgevNetwork`."""

    name = "foundation_stereo"
    licence = NVIDIA_LICENCE
    unused = UNUSED
    second_names: ClassVar = {r"^(cnet\.layer\d\.0)\.norm3\.": r"\1.downsample.1."}

    def __init__(self, variant: str, config: FoundationStereoConfig) -> None:
        super().__init__()
        self.variant = variant
        self.max_disparity = config.max_disparity
        self.iterations = config.iterations
        self.hierarchical = config.hierarchical

        self.feature = SideTunedFeatures(config.vit)
        channels = self.feature.channels
        self.proj_cmb = nn.Conv2d(channels, CONCATENATED, 1)
        self.corr_stem = volume_stem(GROUPS + 2 * CONCATENATED, _WIDTH)
        self.corr_feature_att = FeatureGate(channels, _WIDTH)
        self.cost_agg = Hourglass(_WIDTH, config.attention_axis)
        self.classifier = volume_classifier(_WIDTH)

        self.cnet = ContextNet(self.feature.mono_channels)
        self.cam = ChannelGate(128, 8)
        self.sam = SpatialSelection()
        self.update_block = UpdateBlock(_LOOKUP)

        self.stem_2 = half_stem(32, 32)
        self.spx_2_gru = UpConv(32, 32, skip=32, outputs=64)
        self.spx_gru = nn.Sequential(nn.ConvTranspose2d(64, 9, 4, stride=2, padding=1))

    def prepare(
        self,
        left: Tensor,
        right: Tensor,
        prior: Tensor | None = None,
        prior_confidence: Tensor | None = None,
    ) -> tuple[list[Tensor], Callable[[StereoOutput], StereoOutput]]:
        """Return what ``match`` takes and what crops its output; see ``hierarchical``."""
        inputs, crop = super().prepare(left, right, prior, prior_confidence)
        if not self.hierarchical:
            return inputs, crop
        small, crop_small = super().prepare(
            *(F.interpolate(view, scale_factor=0.5, mode="bilinear") for view in (left, right))
        )
        height, width = fix_size(left)
        coarse, coarse_confidence = (
            F.interpolate(map_, (height, width), mode="bilinear", align_corners=True)
            for map_ in crop_small(self.match(*small))
        )
        coarse = (2 * coarse).clamp(min=0)
        padding = self.padding(height, width, self.multiple)
        # The published code adds the left padding, though both views get the same.
        coarse = padding.pad(coarse) + padding.left
        quarter = tuple(side // 4 for side in fix_size(coarse))
        initial = F.interpolate(coarse, quarter, mode="bilinear", align_corners=True) / 4

        def restore(output: StereoOutput) -> StereoOutput:
            disparity, confidence = crop(output)
            # The coarse volume alone reaches further than max_disparity.
            within = disparity < self.max_disparity
            return StereoOutput(disparity, torch.where(within, confidence, coarse_confidence))

        return [*inputs, initial], restore

    def start(self, left: Tensor, right: Tensor) -> Start:
        """Return what the refinement of normalised images starts from."""
        maps, mono = self.feature(torch.cat([left, right]))
        lefts = [both.chunk(2)[0] for both in maps]  # at 1/4 to 1/32
        scales = [self.attend(*scale) for scale in self.cnet(left, mono.chunk(2)[0])]
        hidden, *context = zip(*scales, strict=True)  # of each of three scales
        return Start(*self.volumes(lefts, maps[0].chunk(2)[1]), hidden, context)


create = FoundationStereo
