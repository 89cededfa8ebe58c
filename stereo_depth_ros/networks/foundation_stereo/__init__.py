"""FoundationStereo (Wen et al., CVPR 2025), written from its description, for its weights.

A frozen Depth Anything V2 beside a small CNN gives the features; axial convolutions and a
transformer filter a hybrid cost volume; selective GRUs on three scales refine the disparity.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.foundation_stereo.context import ContextNet
from stereo_depth_ros.networks.foundation_stereo.features import SideTunedFeatures
from stereo_depth_ros.networks.foundation_stereo.update import UpdateBlock
from stereo_depth_ros.networks.layers.conv import ConvNorm, FeatureGate, UpConv
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES
from stereo_depth_ros.networks.layers.distribution import expected_disparity, mass_around, settled
from stereo_depth_ros.networks.layers.hourglass import Hourglass, volume_classifier, volume_stem
from stereo_depth_ros.networks.layers.lookup import GeometryLookup
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm, normalise
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.layers.selective_gru import ChannelGate, SpatialSelection
from stereo_depth_ros.networks.layers.size import Padding, size_of
from stereo_depth_ros.networks.layers.volume import (
    all_pairs_correlation,
    concatenation_volume,
    correlation_volume,
    unit_groups,
)
from stereo_depth_ros.networks.source import Source

VARIANTS = ("vits", "vitl")
# The settings that outputs were recorded with.
ALIASES = {
    "vits_dispattn": ("vits", {"attention_axis": "disparity"}),
    "vits_md416": ("vits", {"attention_axis": "heads", "max_disparity": 416}),
}

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

_LICENCE = "NVIDIA Source Code License, research and evaluation only"
_PAGE = "https://github.com/NVlabs/FoundationStereo"
SOURCES = {
    "vits": Source(
        "11-33-40/model_best_bp2.pth", _PAGE, _LICENCE, False, 787_711_942, "8d7850b9dc68"
    ),
    "vitl": Source("23-51-11/model_best_bp2.pth", _PAGE, _LICENCE, False, None, "60e79bde9c6a"),
}

_GROUPS = 8
_CONCATENATED = 12  # channels of each view that the volume keeps
_WIDTH = 28  # channels of the volume once it is filtered
_RADIUS = 4
_LOOKUP = 2 * (2 * _RADIUS + 1) * (_WIDTH + 1)


def create(
    variant: str = VARIANTS[0],
    *,
    max_disparity: int = 416,
    iterations: int = 32,
    attention_axis: str = "disparity",
    hierarchical: bool = False,
) -> FoundationStereo:
    """Build ``variant`` with untrained weights; see ``FoundationStereo``.

    Raises
    ------
    ValueError
        For an unknown variant or attention axis, a ``max_disparity`` that is not a multiple of
        32, or less than one iteration.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant '{variant}' is not one of {', '.join(VARIANTS)}")
    return FoundationStereo(variant, max_disparity, iterations, attention_axis, hierarchical)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, object] | None:
    """Return what ``create`` needs for a checkpoint of these keys and shapes, None if not ours."""
    width = shapes.get(f"{_DINO}pretrained.cls_token", (0,))[-1]
    if "cost_agg.atts.4.sa.0.self_attn.q_proj.weight" not in shapes:
        return None
    return next(({"variant": v} for v in VARIANTS if VIT_SIZES[v].width == width), None)


class FoundationStereo(StereoNetwork):
    """Matches by a filtered cost volume, refined by recurrent units on three scales.

    ``attention_axis`` is "disparity" as in the paper and in the code that trained the published
    weights, or "heads", which the public code has computed since June 2025; see
    ``DisparityTransformer``. With ``hierarchical`` a pass at half the size gives the disparity
    from which the full one starts, for large images.

    The confidence is the share of the first distribution over disparities that lies around the
    final one, less where the last refinement step still moved it.
    """

    name = "foundation_stereo"
    licence = _LICENCE
    multiple = 32
    unused = UNUSED
    second_names: ClassVar = {r"^(cnet\.layer\d\.0)\.norm3\.": r"\1.downsample.1."}

    def __init__(
        self,
        variant: str,
        max_disparity: int,
        iterations: int,
        attention_axis: str,
        hierarchical: bool,
    ) -> None:
        super().__init__()
        if max_disparity < 32 or max_disparity % 32:
            raise ValueError(f"max_disparity is {max_disparity}; it must be a multiple of 32")
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}; it must be 1 or more")
        self.variant = variant
        self.max_disparity = max_disparity
        self.iterations = iterations
        self.hierarchical = hierarchical

        self.feature = SideTunedFeatures(variant)
        channels = self.feature.channels
        self.proj_cmb = nn.Conv2d(channels, _CONCATENATED, 1)
        self.corr_stem = volume_stem(_GROUPS + 2 * _CONCATENATED, _WIDTH)
        self.corr_feature_att = FeatureGate(channels, _WIDTH)
        self.cost_agg = Hourglass(_WIDTH, attention_axis)
        self.classifier = volume_classifier(_WIDTH)

        self.cnet = ContextNet(self.feature.mono_channels)
        self.cam = ChannelGate(128, 8)
        self.sam = SpatialSelection()
        self.update_block = UpdateBlock(_LOOKUP)

        self.stem_2 = nn.Sequential(
            ConvNorm(nn.Conv2d(3, 32, 3, stride=2, padding=1, bias=False), InstanceNorm()),
            nn.Conv2d(32, 32, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(),
        )
        self.spx_2_gru = UpConv(32, 32, skip=32, outputs=64)
        self.spx_gru = nn.Sequential(nn.ConvTranspose2d(64, 9, 4, stride=2, padding=1))

    def forward(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a rectified pair, float32 (B, 3, H, W) RGB 0 to 255 each, of any H and W."""
        if not self.hierarchical:
            return super().forward(left, right)
        height, width = size_of(left)
        coarse, coarse_confidence = (
            F.interpolate(map_, (height, width), mode="bilinear", align_corners=True)
            for map_ in super().forward(
                *(F.interpolate(view, scale_factor=0.5, mode="bilinear") for view in (left, right))
            )
        )
        coarse = (2 * coarse).clamp(min=0)
        padding = Padding(height, width, self.multiple)
        # The published code adds the left padding, though both views get the same.
        coarse = padding.pad(coarse) + padding.left
        small = tuple(side // 4 for side in size_of(coarse))
        initial = F.interpolate(coarse, small, mode="bilinear", align_corners=True) / 4
        matched = self.match(padding.pad(left), padding.pad(right), initial)
        disparity, confidence = (padding.crop(map_) for map_ in matched)
        # The coarse volume alone reaches further than max_disparity.
        confidence = torch.where(disparity < self.max_disparity, confidence, coarse_confidence)
        return StereoOutput(disparity, confidence)

    def match(self, left: Tensor, right: Tensor, initial: Tensor | None = None) -> StereoOutput:
        """Match a pair of multiples of 32; ``initial`` (B, 1, H/4, W/4), in its px, starts it."""
        left, right = normalise(left), normalise(right)
        (x4, *coarser), right_x4, mono = self.features(left, right)
        volume = self.filter(self.correlate(x4, right_x4), x4, *coarser)
        probability, disparity = self.regress(volume)
        if initial is not None:
            disparity = initial
        hidden, context, selection = self.context(left, mono)
        pairs = all_pairs_correlation(unit_groups(x4, 1), unit_groups(right_x4, 1))
        look_up = GeometryLookup(volume, pairs, _RADIUS)
        for _ in range(self.iterations):
            found = look_up(disparity)  # (B, 522, H/4, W/4)
            hidden, step = self.update_block(hidden, context, selection, disparity, found)
            disparity = disparity + step
        confidence = mass_around(probability, disparity) * settled(4 * step)
        return StereoOutput(
            self.upsample(disparity, hidden[0], self.stem_2(left)),
            F.interpolate(confidence, scale_factor=4, mode="bilinear"),
        )

    def features(self, left: Tensor, right: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        """Return the left view's maps at 1/4 to 1/32, the right's at 1/4 and the left mono one."""
        maps, mono = self.feature(torch.cat([left, right]))
        lefts = [view.chunk(2)[0] for view in maps]
        return lefts, maps[0].chunk(2)[1], mono.chunk(2)[0]

    def correlate(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the volume (B, 32, D, H/4, W/4): cosines of groups, then both views' features."""
        planes = self.max_disparity // 4
        units = unit_groups(left, _GROUPS), unit_groups(right, _GROUPS)
        cosines = correlation_volume(*units, planes, _GROUPS)
        both = concatenation_volume(self.proj_cmb(left), self.proj_cmb(right), planes)
        return torch.cat([cosines, both], 1)

    def filter(self, volume: Tensor, x4: Tensor, x8: Tensor, x16: Tensor, x32: Tensor) -> Tensor:
        """Return the volume that is read from, (B, 28, D, H/4, W/4)."""
        volume = self.corr_feature_att(self.corr_stem(volume), x4)
        return self.cost_agg(volume, x8, x16, x32)

    def regress(self, volume: Tensor) -> tuple[Tensor, Tensor]:
        """Return the distribution (B, D, H/4, W/4) and its mean (B, 1, H/4, W/4), in 4 px."""
        probability = self.classifier(volume).squeeze(1).float().softmax(1)
        return probability, expected_disparity(probability)

    def context(
        self, left: Tensor, mono: Tensor
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Return first states, context (B, 128, h, w) and selection (B, 1, h, w) of 3 scales."""
        states, contexts, selections = [], [], []
        for hidden, context in self.cnet(left, mono):
            context = F.relu(context)
            context = context * self.cam(context)
            states.append(hidden.tanh())
            contexts.append(context)
            selections.append(self.sam(context))
        return states, contexts, selections

    def upsample(self, disparity: Tensor, hidden: Tensor, stem: Tensor) -> Tensor:
        """Return the disparity (B, 1, H, W) in px; ``stem`` is the left image's, at 1/2."""
        feature = self.update_block.upsampling_feature(hidden)  # (B, 32, H/4, W/4)
        logits = self.spx_gru(self.spx_2_gru(feature, stem))  # (B, 9, H, W)
        return convex_upsample(4 * disparity, F.pixel_unshuffle(logits, 4))
