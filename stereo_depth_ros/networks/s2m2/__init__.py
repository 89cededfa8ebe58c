"""S²M²: global matching by optimal transport over whole rows (Min et al., ICCV 2025).

Written from a description of the published network (github.com/junhong-3dv/s2m2, revision
8f3bd78): its checkpoints load by key. Earlier revisions ran the same weights with another sampler
of the cost volume and sharper upsampling.

Shapes: B pairs, both views in one batch of 2B with the left ones first; H4 is a quarter of the
height H, and so on; C is the width of the network.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.layers.lookup import halve_table
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.s2m2.blocks import GatedFusion, UNet, two_convs
from stereo_depth_ros.networks.s2m2.features import Backbone, Transformer
from stereo_depth_ros.networks.s2m2.matching import TransportMatching
from stereo_depth_ros.networks.s2m2.padding import BlurredPadding
from stereo_depth_ros.networks.s2m2.refinement import GlobalRefiner, LocalRefiner
from stereo_depth_ros.networks.s2m2.upsampling import FilterLogits, UpsampleLogits
from stereo_depth_ros.networks.source import Source

_SIZES = {"s": (128, 1), "m": (192, 2), "l": (256, 3), "xl": (384, 3)}  # C, transformer stages
VARIANTS = tuple(_SIZES)
ALIASES = {f"{size}_neg": (size, {"allow_negative": True}) for size in VARIANTS}

_PUBLISHED = {  # number of weights, start of the file's hash
    "s": (26_501_043, "93f7177d8159"),
    "m": (80_470_259, "6e767e0977dd"),
    "l": (180_724_083, "770e82227258"),
    "xl": (405_710_003, "78dee08652ac"),
}
SOURCES = {
    variant: Source(
        file=f"CH{channels}NTR{stages}.pth",
        url="https://huggingface.co/minimok/s2m2",
        licence="CC-BY-NC-4.0",
        commercial=False,
        size=4 * _PUBLISHED[variant][0],
        sha256=_PUBLISHED[variant][1],
        hub="minimok/s2m2",
    )
    for variant, (channels, stages) in _SIZES.items()
}


def create(variant: str, *, iterations: int = 3, allow_negative: bool = False) -> S2M2:
    """Build S²M² of size ``variant`` with untrained weights.

    Raises
    ------
    ValueError
        If there is no such variant, or ``iterations`` is negative.
    """
    if variant not in _SIZES:
        raise ValueError(f"there is no variant '{variant}'; there are {', '.join(VARIANTS)}")
    if iterations < 0:
        raise ValueError(f"iterations is {iterations}; it must be 0 or more")
    return S2M2(variant, iterations, allow_negative)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, str] | None:
    """Return the arguments of ``create`` for a checkpoint of S²M², None for any other's.

    Nothing in a checkpoint says whether it is meant for negative disparities.
    """
    stages = 0
    while f"transformer.uformer_list.{stages}.down_conv0.1.weight" in shapes:
        stages += 1
    size = (*shapes.get("disp_init.layer_norm.weight", ()), stages)
    return next(({"variant": name} for name in VARIANTS if _SIZES[name] == size), None)


class S2M2(StereoNetwork):
    """S²M²: every left pixel is matched to the whole right row, so no range limits disparity.

    Without ``allow_negative``, disparities are 0 or more. The confidence is the network's own (that
    the error is below 4 px) times its visibility (that the right view sees the point), both 0 to 1.
    """

    name = "s2m2"
    licence = "CC-BY-NC-4.0"
    multiple = 32
    max_disparity = 0  # the whole row
    padding = BlurredPadding
    float32_parts = ("disp_init",)  # scores of some hundreds, whose differences count

    def __init__(self, variant: str, iterations: int, allow_negative: bool) -> None:
        super().__init__()
        self.variant, self.iterations, self.allow_negative = variant, iterations, allow_negative
        channels, stages = _SIZES[variant]
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

    def match(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a pair whose size is a multiple of ``multiple``; see ``forward``."""
        disparity, confidence, visibility = self.maps(left, right).split(1, dim=1)
        return StereoOutput(disparity, (confidence * visibility).clamp(max=1))

    def maps(self, left: Tensor, right: Tensor) -> Tensor:
        """Return disparity in px, confidence and visibility, float32, stacked (B, 3, H, W)."""
        images = torch.cat([left, right]) * (2 / 255) - 1  # (2B, 3, H, W), -1 to 1
        quarter, half = self.cnn_backbone(images)  # (2B, C, H4, W4), (2B, C, H2, W2)
        pyramid = self.feat_pyramid(quarter)
        features = self.transformer(pyramid)  # (2B, C, H4, W4)

        # Disparities count in columns of a quarter of the image until they are upsampled.
        pairs, disparity, confidence, visibility = self.disp_init(features)
        # From here on, features are those of the left view.
        image, half, early, features = (
            both.chunk(2)[0] for both in (images, half, pyramid[0], features)
        )
        disparity = self.global_refiner(features, disparity, confidence)
        if not self.allow_negative:
            disparity = disparity.clamp(min=0)

        context = self.ctx_feat(self.feat_fusion_layer(features, early))  # (B, C, H4, W4)
        hidden = context.tanh()
        halved = halve_table(pairs)  # (B, 1, W8 right, H4, W4 left)
        for _ in range(self.iterations):
            hidden, disparity, confidence, visibility = self.refiner(
                hidden, context, (pairs, halved), disparity, confidence, visibility
            )

        maps = torch.cat([4 * disparity, confidence, visibility], 1)  # (B, 3, H4, W4)
        logits = F.pixel_unshuffle(self.upsample_mask_4x_refine(hidden, half), 4)
        maps = convex_upsample(maps, logits, border="replicate")  # (B, 3, H, W)
        logits = self.upsample_mask_1x(maps[:, :1], image, half)
        return convex_upsample(maps, logits, border="replicate")
