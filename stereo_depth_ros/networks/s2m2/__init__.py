"""S²M²: global matching by optimal transport over whole rows (Min et al., ICCV 2025).

Written from a description of the published network (github.com/junhong-3dv/s2m2, revision
8f3bd78): its checkpoints load by key. Earlier revisions ran the same weights with another sampler
of the cost volume and sharper upsampling.

Shapes: B pairs, both views in one batch of 2B with the left ones first; H4 is a quarter of the
height H, and so on; C is the width of the network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoOutput
from stereo_depth_ros.networks.config import require_min
from stereo_depth_ros.networks.iterative import IterativeNetwork
from stereo_depth_ros.networks.layers.lookup import halve_table
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.s2m2.blocks import GatedFusion, UNet, two_convs
from stereo_depth_ros.networks.s2m2.features import Backbone, Transformer
from stereo_depth_ros.networks.s2m2.matching import TransportMatching
from stereo_depth_ros.networks.s2m2.padding import BlurredPadding
from stereo_depth_ros.networks.s2m2.refinement import GlobalRefiner, LocalRefiner
from stereo_depth_ros.networks.s2m2.upsampling import FilterLogits, UpsampleLogits


@dataclass(frozen=True)
class S2M2Config:
    """How an `S2M2` is built: its width C, the transformer's stages, the refinement's steps.

    Without ``allow_negative``, disparities are 0 or more.
    """

    channels: int
    stages: int
    iterations: int = 3
    allow_negative: bool = False

    def __post_init__(self) -> None:
        require_min(0, iterations=self.iterations)


VARIANTS = {
    "s": S2M2Config(128, 1),
    "m": S2M2Config(192, 2),
    "l": S2M2Config(256, 3),
    "xl": S2M2Config(384, 3),
}


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Return the variant of a checkpoint of S²M², None for any other's.

    Nothing in a checkpoint says whether it is meant for negative disparities.
    """
    stages = 0
    while f"transformer.uformer_list.{stages}.down_conv0.1.weight" in shapes:
        stages += 1
    size = (*shapes.get("disp_init.layer_norm.weight", ()), stages)
    variants = {(config.channels, config.stages): name for name, config in VARIANTS.items()}
    return {"variant": variants[size]} if size in variants else None


class S2M2(IterativeNetwork):
    """S²M²: every left pixel is matched to the whole right row, so no range limits disparity.

    The confidence is the network's own (that the error is below 4 px) times its visibility (that
    the right view sees the point), both 0 to 1.
    """

    name = "s2m2"
    licence = "CC-BY-NC-4.0"
    multiple = 32
    iterations: int
    max_disparity = 0  # the whole row
    padding = BlurredPadding
    float32_parts = ("disp_init",)  # scores of some hundreds, whose differences count

    def __init__(self, variant: str, config: S2M2Config) -> None:
        super().__init__()
        self.variant = variant
        self.iterations = config.iterations
        self.allow_negative = allow_negative = config.allow_negative
        channels, stages = config.channels, config.stages
        self.cnn_backbone = Backbone(channels)
        self.feat_pyramid = UNet(channels, channels, 2 * channels, 2 * stages, positional=True)
        self.transformer = Transformer(channels, stages)
        self.disp_init = TransportMatching(channels, allow_negative)
        self.global_refiner = GlobalRefiner(channels)
        self.feat_fusion_layer = GatedFusion(channels, kernel=3)
        self.ctx_feat = two_convs(channels, channels, channels, kernels=(1, 1))
        self.refiner = LocalRefiner(channels, allow_negative)
        self.upsample_mask_4x_refine = UpsampleLogits(channels)
        self.upsample_mask_1x = FilterLogits(channels)

    def steps(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], StereoOutput]]:
        """Yield the outputs of the first match, the global refinement and each local one."""
        for maps in self.maps(left, right):
            yield partial(self.output, maps)

    def output(self, maps: Callable[[], Tensor]) -> StereoOutput:
        """Return what one of ``maps`` says."""
        disparity, confidence, visibility = maps().split(1, dim=1)
        return StereoOutput(disparity, (confidence * visibility).clamp(max=1))

    def maps(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], Tensor]]:
        """Yield, after each step, a function that returns its maps at full size.

        They are disparity in px, confidence and visibility, stacked (B, 3, H, W), float32.
        """
        images = torch.cat([left, right]) * (2 / 255) - 1  # (2B, 3, H, W), -1 to 1
        quarter, half = self.cnn_backbone(images)  # (2B, C, H4, W4), (2B, C, H2, W2)
        pyramid = self.feat_pyramid(quarter)
        features = self.transformer(pyramid)  # (2B, C, H4, W4)

        # Disparities count in columns of a quarter of the image until they are upsampled.
        pairs, disparity, confidence, visibility, _ = self.disp_init(features)
        # From here on, features are those of the left view.
        image, half, early, features = (
            both.chunk(2)[0] for both in (images, half, pyramid[0], features)
        )
        first = torch.cat([4 * disparity, confidence, visibility], 1)
        yield partial(F.interpolate, first, scale_factor=4, mode="bilinear")
        # As published: the first match is trained by a loss of its own.
        disparity, confidence = disparity.detach(), confidence.detach()
        disparity = self.global_refiner(features, disparity, confidence)
        if not self.allow_negative:
            disparity = disparity.clamp(min=0)

        context = self.ctx_feat(self.feat_fusion_layer(features, early))  # (B, C, H4, W4)
        hidden = context.tanh()
        halved = halve_table(pairs)  # (B, 1, W8 right, H4, W4 left)
        state = hidden, disparity, confidence, visibility
        yield partial(self.upsample, image, half, *state)
        for _ in range(self.iterations):
            hidden, *known = state
            state = self.refiner(hidden, context, (pairs, halved), *known)
            yield partial(self.upsample, image, half, *state)

    def upsample(
        self,
        image: Tensor,  # (B, 3, H, W), -1 to 1
        half: Tensor,  # (B, C, H2, W2)
        hidden: Tensor,  # (B, C, H4, W4)
        disparity: Tensor,  # (B, 1, H4, W4), as the other two
        confidence: Tensor,
        visibility: Tensor,
    ) -> Tensor:
        """Return disparity in px, confidence and visibility, float32, stacked (B, 3, H, W)."""
        maps = torch.cat([4 * disparity, confidence, visibility], 1)
        logits = F.pixel_unshuffle(self.upsample_mask_4x_refine(hidden, half), 4)
        maps = convex_upsample(maps, logits, border="replicate")  # (B, 3, H, W)
        logits = self.upsample_mask_1x(maps[:, :1], image, half)
        return convex_upsample(maps, logits, border="replicate")


create = S2M2
