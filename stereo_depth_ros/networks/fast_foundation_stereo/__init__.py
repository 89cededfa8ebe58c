"""Fast-FoundationStereo (Wen et al., CVPR 2026), written from its description, for its weights.

A real-time student of FoundationStereo: one EdgeNeXt gives the features, an architecture search
chose the blocks that filter the cost volume, and the recurrent refinement is pruned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.config import require_min, require_multiple
from stereo_depth_ros.networks.fast_foundation_stereo.blocks import (
    REPLACED,
    Chain,
    SearchedHourglass,
)
from stereo_depth_ros.networks.fast_foundation_stereo.reading import from_shapes
from stereo_depth_ros.networks.fast_foundation_stereo.structure import (
    RELEASED,
    Structure,
)
from stereo_depth_ros.networks.igev import (
    CONCATENATED,
    GROUPS,
    RADIUS,
    HybridVolumeNetwork,
    Start,
    half_stem,
)
from stereo_depth_ros.networks.layers.conv import FeatureGate, UpConv, conv2d
from stereo_depth_ros.networks.layers.edgenext import EdgeNeXtPyramid
from stereo_depth_ros.networks.layers.hourglass import volume_classifier, volume_stem
from stereo_depth_ros.networks.layers.selective_gru import (
    ChannelGate,
    DisparityHead,
    MotionEncoder,
    SelectiveGru,
    SpatialSelection,
)
from stereo_depth_ros.published import NVIDIA_LICENCE as NVIDIA_LICENCE


@dataclass(frozen=True)
class FastFoundationStereoConfig:
    """How a `FastFoundationStereo` is built; ``max_disparity`` in px, a multiple of 32."""

    structure: Structure = RELEASED
    max_disparity: int = 192
    iterations: int = 8

    def __post_init__(self) -> None:
        require_multiple(32, max_disparity=self.max_disparity)
        require_min(1, iterations=self.iterations)


VARIANTS = {
    "pruned": FastFoundationStereoConfig(),  # the released 23-36-37 and commercial checkpoints
    "unpruned": FastFoundationStereoConfig(Structure()),  # before search and pruning
}

# Entries of the published checkpoints that no disparity depends on, as shell patterns. Those of
# the hourglass are needed where no block replaced them, and then the network has them.
UNUSED = {
    "dx",  # the lookup's offsets
    "context_zqr_convs.*",
    *(f"cost_agg.{part}.*" for parts in REPLACED.values() for part in parts),
}

# In FoundationStereo the first has another name and the others are the same.
_SIGNATURE = {
    "feature.conv4.weight",
    "cost_agg.conv1_up.conv.weight",
    "update_block.gru04.conv0.0.weight",
}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """Return variant and changes of a checkpoint of these keys and shapes, None if not ours.

    What shapes do not tell is taken to be as in the released checkpoints. The structure is left
    out where they do not tell what a block is made of; see ``reading.from_shapes``.
    """
    if not shapes.keys() >= _SIGNATURE:
        return None
    try:
        structure = from_shapes(shapes)
    except ValueError:
        return {"variant": "pruned"}
    published = Structure(structure.features, structure.volume)
    variant = "unpruned" if structure == published else "pruned"
    return {"variant": variant, "structure": asdict(structure)}


class FastFoundationStereo(HybridVolumeNetwork):
    """Matches by a searched filter of the volume and a pruned recurrent unit; see `IgevNetwork`."""

    name = "fast_foundation_stereo"
    licence = NVIDIA_LICENCE
    unused = UNUSED

    def __init__(self, variant: str, config: FastFoundationStereoConfig) -> None:
        super().__init__()
        self.variant = variant
        self.max_disparity = config.max_disparity
        self.iterations = config.iterations
        structure = config.structure
        self.has_unit_features = structure.normalise

        s, blocks = structure, structure.blocks
        self.feature = Features(s.features)
        self.proj_cmb = nn.Conv2d(s.features, CONCATENATED, 1)
        self.corr_stem = _chain(blocks, "corr_stem") or volume_stem(
            GROUPS + 2 * CONCATENATED, s.volume
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

        self.stem_2 = half_stem(*s.stem)
        up, joined = s.upsampling
        self.spx_2_gru = UpConv(s.mask[1], up, skip=s.stem[1], outputs=joined)
        self.spx_gru = nn.Sequential(nn.ConvTranspose2d(joined, 9, 4, stride=2, padding=1))

    def start(self, left: Tensor, right: Tensor) -> Start:
        """Return what the refinement of normalised images starts from."""
        maps = self.feature(torch.cat([left, right]))
        lefts = [both.chunk(2)[0] for both in maps]  # at 1/4 to 1/32
        hidden, *context = self.attend(*self.cnet(lefts[0]))
        return Start(*self.volumes(lefts, maps[0].chunk(2)[1]), hidden, context)


create = FastFoundationStereo


class Features(EdgeNeXtPyramid):
    """Maps of ``channels``, 192, 320 and 304 channels at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv4 = nn.Conv2d(96, channels, 1)

    def forward(self, views: Tensor) -> list[Tensor]:
        """Map normalised views (N, 3, H, W), H and W multiples of 32, to their features."""
        x4, *coarser = self.pyramid(views)
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
        lookup = 2 * (2 * RADIUS + 1) * (s.volume + 1)
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
