"""WAFT-Stereo (Wang and Deng, 2026): warped features and transformers in place of a cost volume.

Written from a description of the published network, whose weights it loads. A first match tells
41 candidates apart; each step then warps the right features by the disparity so far and corrects
it.

Shapes: B pairs, h = H / 2 and w = W / 2; C is an eighth of Depth Anything's width.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from stereo_depth_ros.networks.base import StereoOutput
from stereo_depth_ros.networks.config import require_min
from stereo_depth_ros.networks.iterative import IterativeNetwork, Step, refine
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES, ViTSize
from stereo_depth_ros.networks.layers.distribution import expected_disparity, mass_around
from stereo_depth_ros.networks.layers.normalisation import normalise
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.waft_stereo.decoder import Decoder
from stereo_depth_ros.networks.waft_stereo.encoder import GRAIN, Encoder
from stereo_depth_ros.networks.waft_stereo.padding import MeanPadding
from stereo_depth_ros.networks.waft_stereo.pyramid import ConvMLP
from stereo_depth_ros.networks.waft_stereo.uncertainty import CHANNELS, rate_error
from stereo_depth_ros.networks.waft_stereo.warp import Warp
from stereo_depth_ros.published import list_sources


@dataclass(frozen=True)
class WaftStereoConfig:
    """How a `WaftStereo` is built.

    ``vit`` names the size of Depth Anything. ``max_disparity`` is the last candidate of the first
    match, in px, which the published weights have at 800; the steps may go beyond it.
    """

    vit: str
    iterations: int
    max_disparity: int = 800

    def __post_init__(self) -> None:
        require_min(0, iterations=self.iterations)
        require_min(1, max_disparity=self.max_disparity)


VARIANTS = {
    "dav2_vits": WaftStereoConfig("vits", 3),
    "dav2_vitb": WaftStereoConfig("vitb", 3),
    "dav2_vitl": WaftStereoConfig("vitl", 4),
}

_VIT = "encoder.encoder.base_model.model."

# Shell patterns of what published checkpoints hold and no disparity depends on.
UNUSED = {f"{_VIT}mask_token", "*.refine.3.resConfUnit1.*"}

_BINS = 41


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Return the variant of a checkpoint of these keys and shapes, None if not ours."""
    if "delta_decoder.final_mlp.fc1.weight" not in shapes:
        return None
    width = shapes.get(f"{_VIT}cls_token", (0,))[-1]
    sizes = {VIT_SIZES[config.vit].width: variant for variant, config in VARIANTS.items()}
    return {"variant": sizes[width]} if width in sizes else None


class WaftStereo(IterativeNetwork):
    """Corrects a first match by features that it warps; nothing else compares the views.

    The confidence is the network's own: the probability that the error is below 4 px, by the
    mixture of distributions that it gives for each pixel.
    """

    name = "waft_stereo"
    multiple = GRAIN
    iterations: int
    padding = MeanPadding
    unused = UNUSED
    float32_parts = ("delta_proj",)  # it reads the disparity, in half rounded to 1/4 px

    def __init__(self, variant: str, config: WaftStereoConfig) -> None:
        super().__init__()
        self.variant = variant
        self.licence = next(
            source.licence for source in list_sources(self.name) if source.variant == variant
        )
        self.max_disparity = config.max_disparity
        self.iterations = config.iterations
        size = _spread_taps(VIT_SIZES[config.vit])
        channels = size.width // 8
        self.encoder = Encoder(size)
        self.prop_proj = ConvMLP(2 * channels, channels, channels)
        self.prop_decoder = Decoder(channels)
        self.prop_bins_head = ConvMLP(channels, channels, _BINS)
        self.prop_mask_head = ConvMLP(channels, channels, 9 * 4)
        self.delta_proj = ConvMLP(3 * channels + 1, channels, channels)
        self.delta_decoder = Decoder(channels)
        self.delta_disp_head = ConvMLP(channels, channels, 1)
        self.delta_dist_head = ConvMLP(channels, channels, 4)
        self.delta_mask_head = ConvMLP(channels, channels, 9 * 4)

    def steps(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], StereoOutput]]:
        """Yield the outputs of the first match and of each correction."""
        stages = self.stages(left, right)
        yield partial(self.first_output, next(stages))
        for stage in stages:
            yield partial(self.output, stage)

    def stages(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], Any]]:
        """Yield functions that return what the first match and each correction know of all pixels.

        The first one's are logits of the candidates, (B, 41, H, W), the others' those of
        ``upsample``.
        """
        left, right, hidden = self.encoder(normalise(torch.cat([left, right])))  # (B, C, h, w)
        first = self.prop_decoder(self.prop_proj(torch.cat([left, right], 1)))
        logits = self.prop_bins_head(first).float()  # (B, 41, h, w)
        yield partial(self.upsample_first, logits, first)
        disparity = self.bin_width / 2 * expected_disparity(logits.softmax(1))  # in px of h x w
        for step in refine(self.update, Warp(right), hidden, [left], disparity, self.iterations):
            yield partial(self.upsample, step)

    @property
    def bin_width(self) -> float:
        """Px of the image between two candidates of the first match."""
        return self.max_disparity / (_BINS - 1)

    def update(
        self, hidden: Tensor, left: Tensor, disparity: Tensor, warped: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the next ``hidden`` and what to add to ``disparity``, in px of h x w."""
        hidden = self.delta_proj(torch.cat([left, warped, hidden, disparity], 1))
        hidden = self.delta_decoder(hidden)
        return hidden, self.delta_disp_head(hidden).float()

    def first_output(self, stage: Callable[[], Tensor]) -> StereoOutput:
        """Return the output of the first match at full size."""
        probability = stage().softmax(1)  # (B, 41, H, W)
        candidate = expected_disparity(probability)
        return StereoOutput(self.bin_width * candidate, mass_around(probability, candidate))

    def output(self, stage: Callable[[], tuple[Tensor, Tensor]]) -> StereoOutput:
        """Return the output of a correction at full size."""
        disparity, channels = stage()
        return StereoOutput(disparity, rate_error(channels))

    def upsample_first(self, logits: Tensor, first: Tensor) -> Tensor:
        """Return ``logits`` of the candidates, (B, 41, h, w), at full size."""
        weights = 0.25 * self.prop_mask_head(first)  # (B, 36, h, w)
        return convex_upsample(logits, weights)

    def upsample(self, step: Step) -> tuple[Tensor, Tensor]:
        """Return disparity in px and the channels of `uncertainty`, float32, at full size."""
        weights = 0.25 * self.delta_mask_head(step.hidden)  # (B, 36, h, w)
        channels = self.delta_dist_head(step.hidden)[:, :CHANNELS]
        maps = torch.cat([2 * step.disparity, channels], 1)
        maps = convex_upsample(maps, weights)  # (B, 4, H, W)
        return maps[:, :1], maps[:, 1:]


def _spread_taps(size: ViTSize) -> ViTSize:
    """Return ``size`` with a tap after each quarter of the blocks."""
    return size._replace(taps=tuple(size.depth * part // 4 - 1 for part in (1, 2, 3, 4)))


create = WaftStereo
