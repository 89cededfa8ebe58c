"""Lite Any Stereo 1 and 2 (Jing et al. 2025, 2026): a cost volume that is filtered in 2-D.

Nearly all work is done at a quarter of the size: features of both views, their correlation at 48
disparities, an hourglass that takes these as channels, the mean disparity of the softmax over
them, and convex upsampling. LAS2-H puts recurrent refinement before the upsampling.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput, enlarge_quarter
from stereo_depth_ros.networks.config import require_min
from stereo_depth_ros.networks.igev import GROUPS, IgevNetwork, Start
from stereo_depth_ros.networks.iterative import IterativeNetwork
from stereo_depth_ros.networks.layers.distribution import expected_disparity, mass_around
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm, normalise
from stereo_depth_ros.networks.layers.selective_gru import ChannelGate, SpatialSelection
from stereo_depth_ros.networks.layers.volume import all_pairs_correlation, correlation_volume
from stereo_depth_ros.networks.lite_any_stereo.features import (
    FasterNet,
    FasterNetFeatures,
    Features,
    MobileNetFeatures,
)
from stereo_depth_ros.networks.lite_any_stereo.hourglass import (
    CANDIDATES,
    Conv3dUnit,
    ConvNeXtHourglass,
    FasterNetHourglass,
)
from stereo_depth_ros.networks.lite_any_stereo.parts import Merge, conv, double, image_stem, unit
from stereo_depth_ros.networks.lite_any_stereo.refinement import (
    HIDDEN,
    UpdateBlock,
    UpsamplingMerge,
)


@dataclass(frozen=True)
class LAS1Config:
    """Nothing may be set of LAS1."""


@dataclass(frozen=True)
class LAS2Config:
    """Depths and widening of the blocks that filter the cost at 1/4, 1/8 and 1/16."""

    depths: tuple[int, int, int] = (4, 8, 16)
    ratio: int = 4


@dataclass(frozen=True)
class LAS2HConfig(LAS2Config):
    """Those of the filter, and the steps of refinement: 4 in the published evaluation."""

    iterations: int = 4

    def __post_init__(self) -> None:
        require_min(1, iterations=self.iterations)


VARIANTS: dict[str, LAS1Config | LAS2Config] = {
    "las2_m": LAS2Config(),
    "las2_s": LAS2Config((1, 2, 4)),
    "las2_l": LAS2Config((8, 16, 32), ratio=8),
    "las2_h": LAS2HConfig(),
    "las1": LAS1Config(),
}


def create(variant: str, config: LAS1Config | LAS2Config) -> LiteAnyStereo:
    """Build a variant with untrained weights."""
    if isinstance(config, LAS1Config):
        return LiteAnyStereo1(variant)
    if isinstance(config, LAS2HConfig):
        return LiteAnyStereo2H(variant, config)
    return LiteAnyStereo2(variant, config)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Return the variant of a state dict of these shapes, None for another's."""
    if "cost_agg_2d.upconv1.0.weight" in shapes:
        return {"variant": "las1"}
    if "fnet.backbone.patch_embed.proj.weight" not in shapes:
        return None
    if "update_block.gru04.conv0.0.weight" in shapes:
        return {"variant": "las2_h"}
    depth = sum(
        key.startswith("cost_agg.conv4.") and key.endswith(".mlp.0.weight") for key in shapes
    )
    variant = {3: "las2_s", 15: "las2_m", 31: "las2_l"}.get(depth)
    return {"variant": variant} if variant else None


class LiteAnyStereo(StereoNetwork):
    """What all variants share.

    Confidence is the probability mass around the disparity, at a quarter of the size.

    Results depend on the padding and on everything else in view: the statistics of instance norms
    run over the whole image.
    """

    name = "lite_any_stereo"
    licence = "MIT"
    multiple = 32
    max_disparity = 4 * CANDIDATES  # fixed by the width of the hourglass
    fnet: Features

    def __init__(self, variant: str) -> None:
        super().__init__()
        self.variant = variant

    def normalise(self, image: Tensor) -> Tensor:
        """Scale RGB, 0 to 255, to what the backbone was trained with."""
        return normalise(image)

    def features(self, left: Tensor, right: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the left view's p2, p3 and p4, and the right view's p2; see ``Features``."""
        batch = left.shape[0]
        p2, p3, p4 = self.fnet(torch.cat([left, right]))
        return p2[:batch], p3[:batch], p4[:batch], p2[batch:]

    def correlate(self, left: Tensor, right: Tensor, groups: int = 1) -> Tensor:
        """Map features (B, C, H/4, W/4) to their mean products, (B, groups, 48, H/4, W/4)."""
        return correlation_volume(left * (groups / left.shape[1]), right, CANDIDATES, groups)

    def regress(self, cost: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the filtered cost (B, 48, H/4, W/4) means, in float32.

        That is the probability of each disparity, of the same shape, and their mean
        (B, 1, H/4, W/4) in px of this size.
        """
        probability = cost.float().softmax(1)
        return probability, expected_disparity(probability)


class _Unrefined(LiteAnyStereo, IterativeNetwork):
    """The variants whose disparity is upsampled as regressed; ``width`` is that of p2."""

    any_size = True

    def __init__(self, variant: str, width: int) -> None:
        super().__init__(variant)
        self.refine_1 = nn.Sequential(
            unit(conv(width, width, 3), InstanceNorm(), nn.LeakyReLU()),
            unit(conv(width, width, 3), InstanceNorm(), nn.ReLU()),
        )
        self.stem_2 = image_stem(partial(nn.BatchNorm2d, 16))
        self.refine_2 = Merge(width, 16)
        self.refine_3 = unit(double(16, 9))

    def filter(self, volume: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Map (B, 1, 48, H/4, W/4) and the left features to logits (B, 48, H/4, W/4)."""
        raise NotImplementedError

    def steps(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], StereoOutput]]:
        """Yield the disparity as it was regressed, interpolated, and the upsampled one."""
        left, right = self.normalise(left), self.normalise(right)  # (B, 3, H, W)
        p2, p3, p4, right_p2 = self.features(left, right)
        volume = self.correlate(p2, right_p2)  # (B, 1, 48, H/4, W/4)
        probability, disparity = self.regress(self.filter(volume, p2, p3, p4))
        confidence = mass_around(probability, disparity)  # (B, 1, H/4, W/4)
        yield partial(enlarge_quarter, disparity, confidence)
        half = self.refine_2(self.refine_1(p2), self.stem_2(left))  # (B, 16, H/2, W/2)
        logits = F.pixel_unshuffle(self.refine_3(half), 4)
        yield partial(enlarge_quarter, disparity, confidence, logits)


class LiteAnyStereo1(_Unrefined):
    """LAS1: features of MobileNetV2, three 3-D convolutions, then ConvNeXt blocks."""

    def __init__(self, variant: str) -> None:
        super().__init__(variant, MobileNetFeatures.WIDTHS[0])
        self.fnet = MobileNetFeatures()
        self.cost_stem_3d = nn.Sequential(Conv3dUnit(1, 4), Conv3dUnit(4, 4), Conv3dUnit(4, 1))
        self.cost_agg_2d = ConvNeXtHourglass()

    def normalise(self, image: Tensor) -> Tensor:
        """Scale RGB, 0 to 255, to -1 to 1."""
        return image / 127.5 - 1

    def filter(self, volume: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Map (B, 1, 48, H/4, W/4) and the left features to logits (B, 48, H/4, W/4)."""
        return self.cost_agg_2d(self.cost_stem_3d(volume).flatten(1, 2), p2, p3, p4)


class LiteAnyStereo2(_Unrefined):
    """LAS2-S, M and L: features of FasterNet, filtered by blocks of the same kind."""

    def __init__(self, variant: str, config: LAS2Config) -> None:
        super().__init__(variant, FasterNet.WIDTHS[0])
        self.fnet = FasterNetFeatures()
        self.cost_agg = FasterNetHourglass(config.depths, config.ratio)

    def filter(self, volume: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Map (B, 1, 48, H/4, W/4) and the left features to logits (B, 48, H/4, W/4)."""
        return self.cost_agg(volume.flatten(1, 2), p2, p3, p4)


class LiteAnyStereo2H(LiteAnyStereo, IgevNetwork):
    """LAS2-H: LAS2-M with steps of recurrent refinement; see `IgevNetwork`."""

    def __init__(self, variant: str, config: LAS2HConfig) -> None:
        super().__init__(variant)
        self.iterations = config.iterations
        width = FasterNet.WIDTHS[0]
        self.fnet = FasterNetFeatures()
        self.cost_agg = FasterNetHourglass(config.depths, config.ratio)
        self.cnet = nn.ModuleDict(
            {
                "hidden_conv": nn.Conv2d(width, HIDDEN, 3, padding=1),
                "input_conv": nn.Conv2d(width, HIDDEN, 3, padding=1),
            }
        )
        self.cam = ChannelGate(HIDDEN, HIDDEN // 16)
        self.sam = SpatialSelection("conv")
        self.update_block = UpdateBlock()
        self.stem_2 = image_stem(InstanceNorm)
        self.spx_2_gru = UpsamplingMerge()
        self.spx_gru = double(32, 9, bias=True)

    def start(self, left: Tensor, right: Tensor) -> Start:
        """Return what the refinement of normalised images starts from."""
        p2, p3, p4, right_p2 = self.features(left, right)
        volume = self.correlate(p2, right_p2, GROUPS)  # (B, 8, 48, H/4, W/4)
        pairs = all_pairs_correlation(p2 / p2.shape[1], right_p2)  # (B, 1, W/4, H/4, W/4)
        probability, _ = self.regress(self.cost_agg(volume.mean(1), p2, p3, p4))
        hidden, *context = self.attend(self.cnet["hidden_conv"](p2), self.cnet["input_conv"](p2))
        return Start(volume, pairs, probability, hidden, context)
