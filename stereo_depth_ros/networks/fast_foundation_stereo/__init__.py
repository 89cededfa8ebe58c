"""Fast-FoundationStereo (Wen et al., CVPR 2026), written from its description, for its weights.

A real-time student of FoundationStereo: one EdgeNeXt gives the features, an architecture search
chose the blocks that filter the cost volume, and the recurrent refinement is pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.fast_foundation_stereo.blocks import (
    REPLACED,
    Chain,
    SearchedHourglass,
)
from stereo_depth_ros.networks.fast_foundation_stereo.structure import (
    RELEASED,
    Structure,
    from_shapes,
)
from stereo_depth_ros.networks.layers.conv import ConvNorm, FeatureGate, UpConv, conv2d
from stereo_depth_ros.networks.layers.distribution import expected_disparity, mass_around, settled
from stereo_depth_ros.networks.layers.edgenext import EdgeNeXtPyramid
from stereo_depth_ros.networks.layers.hourglass import volume_classifier, volume_stem
from stereo_depth_ros.networks.layers.lookup import GeometryLookup
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm, normalise
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.layers.selective_gru import (
    ChannelGate,
    DisparityHead,
    MotionEncoder,
    SelectiveGru,
    SpatialSelection,
)
from stereo_depth_ros.networks.layers.volume import (
    all_pairs_correlation,
    concatenation_volume,
    correlation_volume,
    unit_groups,
)
from stereo_depth_ros.networks.source import Source

_STRUCTURES = {"pruned": RELEASED, "unpruned": Structure()}
VARIANTS = tuple(_STRUCTURES)
_SMALL = Structure(features=128)
# What outputs were recorded with.
ALIASES: dict[str, tuple[str, dict[str, Any]]] = {
    "released_vitl_d192": ("pruned", {}),
    "unpruned_vits_d192": ("unpruned", {"structure": _SMALL}),
    "unpruned_vits_d64_nonorm": (
        "unpruned",
        {"structure": replace(_SMALL, normalise=False), "max_disparity": 64},
    ),
}

# Entries of the published checkpoints that no disparity depends on, as shell patterns. Those of
# the hourglass are needed where no block replaced them, and then the network has them.
UNUSED = {
    "dx",  # the lookup's offsets
    "context_zqr_convs.*",
    *(f"cost_agg.{part}.*" for parts in REPLACED.values() for part in parts),
}

_FILE = "model_best_bp2_serialize.pth"
_LICENCE = "NVIDIA Source Code License, research and evaluation only"
_PAGE = "https://github.com/NVlabs/Fast-FoundationStereo"
_COMMERCIAL = "nvidia/c-fast-foundationstereo"
SOURCES = {
    "23-36-37": Source(f"23-36-37/{_FILE}", _PAGE, _LICENCE, False),
    "20-26-39": Source(f"20-26-39/{_FILE}", _PAGE, _LICENCE, False),
    "20-30-48": Source(
        f"20-30-48/{_FILE}",
        _PAGE,
        _LICENCE,
        False,
        sha256="98b5a9acf39fbfa795025de8cea95ce123daa40f6b6234d719167751024cf692",
    ),
    "commercial": Source(
        _FILE,
        f"https://huggingface.co/{_COMMERCIAL}",
        "NVIDIA Open Model Agreement",
        True,
        size=71_000_000,
        sha256="7aee85948373da62b0503c2542507129a3e7cab9d97d10e6790d89512a7db214",
        hub=_COMMERCIAL,
    ),
}

# In FoundationStereo the first has another name and the others are the same.
_TELLING = {
    "feature.conv4.weight",
    "cost_agg.conv1_up.conv.weight",
    "update_block.gru04.conv0.0.weight",
}
_GROUPS = 8
_CONCATENATED = 12  # channels of each view that the volume keeps
_RADIUS = 4


def create(
    variant: str = VARIANTS[0],
    *,
    structure: Mapping[str, Any] | Structure | None = None,
    max_disparity: int = 192,
    iterations: int = 8,
) -> FastFoundationStereo:
    """Build ``variant`` with untrained weights; see ``FastFoundationStereo``.

    ``structure`` is a `Structure` or its record, for a checkpoint that was searched or pruned
    otherwise; None is that of the released 23-36-37 and commercial checkpoints ("pruned") or the
    network before search and pruning ("unpruned").

    Raises
    ------
    ValueError
        For an unknown variant, a structure of unknown blocks, a ``max_disparity`` that is not a
        multiple of 32, or less than one iteration.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant '{variant}' is not one of {', '.join(VARIANTS)}")
    if structure is None:
        structure = _STRUCTURES[variant]
    elif not isinstance(structure, Structure):
        structure = Structure(**structure)
    return FastFoundationStereo(variant, structure, max_disparity, iterations)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Return what ``create`` needs for a checkpoint of these keys and shapes, None if not ours.

    What shapes do not tell is taken to be as in the released checkpoints. The structure is left
    out where they do not tell what a block is made of; see ``structure.from_shapes``.
    """
    if not shapes.keys() >= _TELLING:
        return None
    try:
        structure = from_shapes(shapes)
    except ValueError:
        return {"variant": "pruned"}
    published = Structure(structure.features, structure.volume)
    variant = "unpruned" if structure == published else "pruned"
    return {"variant": variant, "structure": asdict(structure)}


class FastFoundationStereo(StereoNetwork):
    """Matches by a filtered cost volume at 1/4 of the size, refined by a recurrent unit.

    The confidence is the share of the first distribution over disparities that lies around the
    final one, less where the last refinement step still moved it.
    """

    name = "fast_foundation_stereo"
    licence = _LICENCE
    multiple = 32
    iterations: int
    unused = UNUSED

    def __init__(
        self, variant: str, structure: Structure, max_disparity: int, iterations: int
    ) -> None:
        super().__init__()
        if max_disparity < 32 or max_disparity % 32:
            raise ValueError(f"max_disparity is {max_disparity}; it must be a multiple of 32")
        if iterations < 1:
            raise ValueError(f"iterations is {iterations}; it must be 1 or more")
        self.variant = variant
        self.structure = structure
        self.max_disparity = max_disparity
        self.iterations = iterations

        s, blocks = structure, structure.blocks
        self.feature = Features(s.features)
        self.proj_cmb = nn.Conv2d(s.features, _CONCATENATED, 1)
        self.corr_stem = _chain(blocks, "corr_stem") or volume_stem(
            _GROUPS + 2 * _CONCATENATED, s.volume
        )
        self.corr_feature_att = _chain(blocks, "corr_feature_att") or FeatureGate(
            s.features, s.volume
        )
        self.cost_agg = SearchedHourglass(
            s.volume,
            {
                slot.removeprefix("cost_agg."): block
                for slot, block in blocks.items()
                if slot.startswith("cost_agg.")
            },
        )
        self.classifier = _chain(blocks, "classifier") or volume_classifier(s.volume)

        self.cnet = ContextNet(s)
        self.cam = ChannelGate(s.context, s.channel_gate)
        self.sam = SpatialSelection()
        self.update_block = UpdateBlock(s)

        half, full = s.stem
        self.stem_2 = nn.Sequential(
            ConvNorm(nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False), InstanceNorm()),
            nn.Conv2d(half, full, 3, padding=1, bias=False),
            InstanceNorm(),
            nn.ReLU(),
        )
        up, joined = s.upsampling
        self.spx_2_gru = UpConv(s.mask[1], up, skip=full, outputs=joined)
        self.spx_gru = nn.Sequential(nn.ConvTranspose2d(joined, 9, 4, stride=2, padding=1))

    def match(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a pair of multiples of 32; see ``forward``."""
        left, right = normalise(left), normalise(right)
        (x4, *coarser), right_x4 = self.features(left, right)
        volume = self.filter(self.correlate(x4, right_x4), x4, *coarser)
        probability = self.classifier(volume).squeeze(1).float().softmax(1)  # (B, D, H/4, W/4)
        disparity = expected_disparity(probability)  # (B, 1, H/4, W/4), in px of 1/4 size
        hidden, context, selection = self.context(x4)
        pairs = all_pairs_correlation(unit_groups(x4, 1), unit_groups(right_x4, 1))
        look_up = GeometryLookup(volume, pairs, _RADIUS)
        for _ in range(self.iterations):
            found = look_up(disparity)  # (B, 18 (volume + 1), H/4, W/4)
            hidden, step = self.update_block(hidden, context, selection, disparity, found)
            disparity = disparity + step
        confidence = mass_around(probability, disparity) * settled(4 * step)
        return StereoOutput(
            self.upsample(disparity, hidden, self.stem_2(left)),
            F.interpolate(confidence, scale_factor=4, mode="bilinear"),
        )

    def features(self, left: Tensor, right: Tensor) -> tuple[list[Tensor], Tensor]:
        """Return the left view's maps at 1/4 to 1/32 and the right's at 1/4."""
        maps = self.feature(torch.cat([left, right]))
        return [both.chunk(2)[0] for both in maps], maps[0].chunk(2)[1]

    def correlate(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the volume (B, 32, D, H/4, W/4): products of groups, then both features."""
        planes = self.max_disparity // 4
        if self.structure.normalise:
            matched = unit_groups(left, _GROUPS), unit_groups(right, _GROUPS)
        else:
            matched = left.float(), right.float()
        products = correlation_volume(*matched, planes, _GROUPS)
        both = concatenation_volume(self.proj_cmb(left), self.proj_cmb(right), planes)
        return torch.cat([products, both], 1)

    def filter(self, volume: Tensor, x4: Tensor, x8: Tensor, x16: Tensor, x32: Tensor) -> Tensor:
        """Return the volume that is read from, (B, volume, D, H/4, W/4)."""
        volume = self.corr_feature_att(self.corr_stem(volume), x4)
        return self.cost_agg(volume, x8, x16, x32)

    def context(self, x4: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first hidden state, the context, and the share of the small kernels."""
        hidden, context = self.cnet(x4)
        context = F.relu(context)
        context = context * self.cam(context)
        return hidden.tanh(), context, self.sam(context)

    def upsample(self, disparity: Tensor, hidden: Tensor, stem: Tensor) -> Tensor:
        """Return the disparity (B, 1, H, W) in px; ``stem`` is the left image's, at 1/2."""
        feature = self.update_block.upsampling_feature(hidden)  # (B, mask, H/4, W/4)
        logits = self.spx_gru(self.spx_2_gru(feature, stem))  # (B, 9, H, W)
        return convex_upsample(4 * disparity, F.pixel_unshuffle(logits, 4))


class Features(EdgeNeXtPyramid):
    """Maps of ``channels``, 192, 320 and 304 channels at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv4 = nn.Conv2d(96, channels, 1)

    def forward(self, views: Tensor) -> list[Tensor]:
        """Map normalised views (N, 3, H, W), H and W multiples of 32, to their features."""
        x4, *coarser = super().forward(views)
        return [self.conv4(x4), *coarser]


class ContextNet(nn.Module):
    """What the refinement starts from, read off the left view's features."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        self.conv04 = nn.ModuleList(
            conv2d(structure.features, width, 3)
            if structure.context_norm
            else nn.Conv2d(structure.features, width, 3, padding=1)
            for width in (structure.hidden, structure.context)
        )

    def forward(self, x4: Tensor) -> tuple[Tensor, Tensor]:
        """Map (B, features, H/4, W/4) to the hidden state and the context before activation."""
        hidden, context = self.conv04
        return hidden(x4), context(x4)


class UpdateBlock(nn.Module):
    """One step of the refinement, and what the upsampling reads off the hidden state."""

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        s = structure
        lookup = 2 * (2 * _RADIUS + 1) * (s.volume + 1)
        self.encoder = MotionEncoder(lookup, s.lookup, s.disparity, s.motion, s.motion_kernel)
        self.gru04 = SelectiveGru(s.context + s.motion + 1, s.hidden, s.mixed, s.gated)
        self.disp_head = DisparityHead(s.hidden, s.head, s.head_mlps)
        first, second = s.mask
        self.mask = nn.Sequential(
            nn.Conv2d(s.hidden, first, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(first, second, 3, padding=1),
            nn.ReLU(),
        )

    def forward(
        self,
        hidden: Tensor,
        context: Tensor,
        selection: Tensor,
        disparity: Tensor,
        lookup: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the next ``hidden`` and what to add to ``disparity``, float32.

        ``hidden`` and ``context`` are (B, ., H/4, W/4), ``selection`` and ``disparity``
        (B, 1, H/4, W/4) and ``lookup`` what was read there.
        """
        motion = self.encoder(disparity, lookup)
        hidden = self.gru04(hidden, torch.cat([context, motion], 1), selection)
        return hidden, self.disp_head(hidden).float()

    def upsampling_feature(self, hidden: Tensor) -> Tensor:
        """Map the hidden state to (B, mask, H/4, W/4)."""
        return 0.25 * self.mask(hidden)


def _chain(blocks: Mapping[str, Any], slot: str) -> Chain | None:
    return Chain(blocks[slot]) if slot in blocks else None
