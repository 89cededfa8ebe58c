"""SMoE-Stereo (Wang et al., ICCV 2025): RAFT-Stereo on the features of an adapted Depth Anything.

Written from a description of the published network, whose weights it loads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES
from stereo_depth_ros.networks.layers.distribution import settled
from stereo_depth_ros.networks.layers.dpt import DPT_SIZES
from stereo_depth_ros.networks.layers.normalisation import normalise
from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.smoe_stereo.backbone import Backbone
from stereo_depth_ros.networks.smoe_stereo.heads import ContextDecoder, MatchingEncoder
from stereo_depth_ros.networks.smoe_stereo.update import (
    HIDDEN,
    STRIDE,
    CorrelationPyramid,
    UpdateBlock,
)
from stereo_depth_ros.networks.source import Source

VARIANTS = ("damv2_vits", "damv2_vitb", "damv2_vitl")
ALIASES = {f"{variant}_noselect": (variant, {"selective": False}) for variant in VARIANTS}

_VIT = "backbone.model.vfm_model.pretrained."
_HEAD = "backbone.model.vfm_model.depth_head."

# Shell patterns of what published checkpoints hold and the network does without: second names of
# the same tensors, what only training needs, and what follows the last feature map that is read.
# That map comes after block 8, and 17 for ViT-L, which therefore has blocks that these patterns
# name: they are for entries that the network at hand does not have.
UNUSED = {
    f"{_VIT}mask_token",
    f"{_VIT}blocks.*.moe_layer.*",
    f"{_VIT}blocks.*.lora_w_noise",
    *(f"{_VIT}blocks.{index}.*" for index in (9, 10, 11, 18, 19, 20, 21, 22, 23)),
    f"{_HEAD}projects.3.*",
    f"{_HEAD}resize_layers.3.*",
    f"{_HEAD}scratch.layer4_rn.*",
    f"{_HEAD}scratch.refinenet*",
    f"{_HEAD}scratch.output_conv*",
    "cnet.vfm_16.*",
    "img_decode.*",
}

_PAGE = "https://github.com/cocowy1/SMoE-Stereo"
_LICENCES = {
    "vits": "none stated; code MIT, parts from Depth Anything V2 Small (Apache-2.0)",
    "vitb": "none stated; code MIT, parts from Depth Anything V2 Base (CC-BY-NC-4.0)",
    "vitl": "none stated; code MIT, parts from Depth Anything V2 Large (CC-BY-NC-4.0)",
}
# The authors' page links one folder of files that it does not name.
SOURCES = {
    variant: Source(file="", url=_PAGE, licence=_LICENCES[variant[-4:]], commercial=False)
    for variant in VARIANTS
}


def create(
    variant: str = VARIANTS[0], *, selective: bool = True, iterations: int = 32
) -> SMoEStereo:
    """Build ``variant`` with untrained weights.

    ``selective``: gates switch mixtures off for images that do not need them. The authors' models
    for mixed data have no gates.

    Raises
    ------
    ValueError
        For an unknown variant or less than one iteration.
    """
    if variant not in VARIANTS:
        raise ValueError(f"variant '{variant}' is not one of {', '.join(VARIANTS)}")
    if iterations < 1:
        raise ValueError(f"iterations is {iterations}; it must be 1 or more")
    return SMoEStereo(variant, selective, iterations)


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, object] | None:
    """Return what ``create`` needs for a checkpoint of these keys and shapes, None if not ours."""
    gates = ("lora_w_gate", "moe_layer.clean_gate")  # one tensor, either name
    if not any(f"{_VIT}blocks.0.attn.qkv.{name}" in shapes for name in gates):
        return None
    width = shapes.get(f"{_VIT}cls_token", (0,))[-1]
    for variant in VARIANTS:
        if VIT_SIZES[variant[-4:]].width == width:
            selective = f"{_VIT}blocks.0.attn.qkv.lora_layer_select.mlp_head.weight" in shapes
            return {"variant": variant, "selective": selective}
    return None


class SMoEStereo(StereoNetwork):
    """Matches by the correlation of all pairs in a row, refined by recurrent units on three scales.

    No range limits disparity; the published weights were trained up to 256 px. The confidence is
    how much of the correlation's softmax over the row lies around the final disparity, less where
    the last step still moved it.
    """

    name = "smoe_stereo"
    multiple = 32
    unused = UNUSED
    second_names: ClassVar = {
        r"\.moe_layer\.clean_gate$": ".lora_w_gate",
        r"\.moe_layer\.experts\.(\d+)\.(lora_A|lora_B|lora_adapter)\.": r".\2.\1.",
    }
    max_disparity = 0  # the width of the image

    def __init__(self, variant: str, selective: bool, iterations: int) -> None:
        super().__init__()
        size = variant.removeprefix("damv2_")
        self.variant = variant
        self.licence = _LICENCES[size]
        self.iterations = iterations
        features = DPT_SIZES[size].features
        # The nesting is that of the published keys.
        foundation = nn.ModuleDict({"vfm_model": Backbone(size, selective)})
        self.backbone = nn.ModuleDict({"model": foundation})
        self.fnet = MatchingEncoder(features)
        self.cnet = ContextDecoder(features)
        self.context_zqr_convs = nn.ModuleList(
            nn.Conv2d(HIDDEN, 3 * HIDDEN, 3, padding=1) for _ in range(3)
        )
        self.update_block = UpdateBlock()

    def match(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a pair (B, 3, H, W) with sides that are multiples of 32; see ``forward``."""
        batch = left.shape[0]
        views = normalise(torch.cat([left, right]))  # (2B, 3, H, W)
        fine, middle, coarse = self.backbone["model"]["vfm_model"](views)
        features = self.fnet(views, fine)  # (2B, 256, h, w), h = H / 4 and w = W / 4
        correlation = CorrelationPyramid(features[:batch], features[batch:])

        scales = self.cnet([fine[:batch], middle, coarse])
        hidden = [torch.tanh(state) for state, _ in scales]
        context = [
            conv(F.relu(each)).chunk(3, 1)
            for conv, (_, each) in zip(self.context_zqr_convs, scales, strict=True)
        ]

        disparity = torch.zeros_like(features[:batch, :1], dtype=torch.float32)  # in steps of 4 px
        for _ in range(self.iterations):
            looked_up = correlation(disparity)  # (B, 36, h, w)
            hidden, step = self.update_block(hidden, context, disparity, looked_up)
            disparity = disparity + step

        mask = self.update_block.upsampling_mask(hidden[0])  # (B, 144, h, w)
        confidence = correlation.share(disparity) * settled(STRIDE * step)
        return StereoOutput(
            convex_upsample(STRIDE * disparity, mask),
            F.interpolate(confidence, scale_factor=STRIDE, mode="bilinear", align_corners=False),
        )
