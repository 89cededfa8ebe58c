"""SMoE-Stereo (Wang et al., ICCV 2025): RAFT-Stereo on the features of an adapted Depth Anything.

Written from a description of the published network, whose weights it loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoOutput, enlarge_quarter
from stereo_depth_ros.networks.config import require_min
from stereo_depth_ros.networks.iterative import IterativeNetwork, Step, refine
from stereo_depth_ros.networks.layers.dinov2 import VIT_SIZES
from stereo_depth_ros.networks.layers.distribution import rate_step
from stereo_depth_ros.networks.layers.dpt import DPT_SIZES
from stereo_depth_ros.networks.layers.normalisation import normalise
from stereo_depth_ros.networks.smoe_stereo.backbone import Backbone
from stereo_depth_ros.networks.smoe_stereo.heads import ContextDecoder, MatchingEncoder
from stereo_depth_ros.networks.smoe_stereo.update import (
    HIDDEN,
    STRIDE,
    CorrelationPyramid,
    UpdateBlock,
)
from stereo_depth_ros.published import list_sources


@dataclass(frozen=True)
class SMoEStereoConfig:
    """How an `SMoEStereo` is built.

    ``vit`` names the size of Depth Anything. Where ``selective``, gates switch mixtures off for
    images that do not need them; the authors' models for mixed data have no gates.
    """

    vit: str
    selective: bool = True
    iterations: int = 32

    def __post_init__(self) -> None:
        require_min(1, iterations=self.iterations)


VARIANTS = {f"damv2_{vit}": SMoEStereoConfig(vit) for vit in ("vits", "vitb", "vitl")}

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


def recognise(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, object] | None:
    """Return variant and changes of a checkpoint of these keys and shapes, None if not ours."""
    gates = ("lora_w_gate", "moe_layer.clean_gate")  # one tensor, either name
    if not any(f"{_VIT}blocks.0.attn.qkv.{name}" in shapes for name in gates):
        return None
    width = shapes.get(f"{_VIT}cls_token", (0,))[-1]
    for variant, config in VARIANTS.items():
        if VIT_SIZES[config.vit].width == width:
            selective = f"{_VIT}blocks.0.attn.qkv.lora_layer_select.mlp_head.weight" in shapes
            return {"variant": variant, "selective": selective}
    return None


class SMoEStereo(IterativeNetwork):
    """Matches by the correlation of all pairs in a row, refined by recurrent units on three scales.

    No range limits disparity; the published weights were trained up to 256 px. The confidence is
    how much of the correlation's softmax over the row lies around the final disparity, less where
    the last step still moved it.
    """

    name = "smoe_stereo"
    multiple = 32
    iterations: int
    unused = UNUSED
    second_names: ClassVar = {
        r"\.moe_layer\.clean_gate$": ".lora_w_gate",
        r"\.moe_layer\.experts\.(\d+)\.(lora_A|lora_B|lora_adapter)\.": r".\2.\1.",
    }
    max_disparity = 0  # the width of the image

    def __init__(self, variant: str, config: SMoEStereoConfig) -> None:
        super().__init__()
        self.variant = variant
        self.licence = next(
            source.licence for source in list_sources("smoe_stereo") if source.variant == variant
        )
        self.iterations = config.iterations
        features = DPT_SIZES[config.vit].features
        # The nesting is that of the published keys.
        foundation = nn.ModuleDict({"vfm_model": Backbone(config.vit, config.selective)})
        self.backbone = nn.ModuleDict({"model": foundation})
        self.fnet = MatchingEncoder(features)
        self.cnet = ContextDecoder(features)
        self.context_zqr_convs = nn.ModuleList(
            nn.Conv2d(HIDDEN, 3 * HIDDEN, 3, padding=1) for _ in range(3)
        )
        self.update_block = UpdateBlock()

    def steps(self, left: Tensor, right: Tensor) -> Iterator[Callable[[], StereoOutput]]:
        """Yield the outputs of all steps, for (B, 3, H, W) with sides that are multiples of 32."""
        batch = left.shape[0]
        views = normalise(torch.cat([left, right]))  # (2B, 3, H, W)
        fine, middle, coarse = self.backbone.get_submodule("model.vfm_model")(views)
        features = self.fnet(views, fine)  # (2B, 256, h, w), h = H / 4 and w = W / 4
        correlation = CorrelationPyramid(features[:batch], features[batch:])

        scales = self.cnet([fine[:batch], middle, coarse])
        hidden = [torch.tanh(state) for state, _ in scales]
        context = [
            conv(F.relu(each)).chunk(3, 1)
            for conv, (_, each) in zip(self.context_zqr_convs, scales, strict=True)
        ]

        disparity = torch.zeros_like(features[:batch, :1], dtype=torch.float32)  # in steps of 4 px
        for step in refine(
            self.update_block, correlation, hidden, [context], disparity, self.iterations
        ):
            yield partial(self.output, step, correlation)

    def output(self, step: Step, correlation: CorrelationPyramid) -> StereoOutput:
        """Return the output of ``step`` at full size."""
        logits = self.update_block.upsampling_mask(step.hidden[0])  # (B, 144, h, w)
        confidence = correlation.share(step.disparity) * rate_step(STRIDE * step.change)
        return enlarge_quarter(step.disparity, confidence, logits)


create = SMoEStereo
