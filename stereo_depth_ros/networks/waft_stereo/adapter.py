"""Depth Anything's transformer with low-rank adapters (LoRA, Hu et al. 2022)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.dinov2 import PATCH, Block, DinoV2, ViTSize

RANK = 8
SCALE = 2  # alpha 16 by rank 8


class AdaptedViT(DinoV2):
    """DINOv2 whose patch embedding and attention are adapted in every block."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__(size._replace(depth=0))
        self.patch_embed.proj = AdaptedPatches(size.width)
        self.blocks = nn.ModuleList(AdaptedBlock(size.width, size.heads) for _ in range(size.depth))


class AdaptedBlock(Block):
    """A transformer block with adapters in front of and behind its attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__(width, heads)
        self.attn.qkv = AdaptedLinear(width, 3 * width)
        self.attn.proj = AdaptedLinear(width, width)


class _Adapted(nn.Module):
    """A layer whose weight has an update of rank 8, ``up`` times ``down``."""

    def __init__(self, base: nn.Module, down: nn.Module, up: nn.Module) -> None:
        super().__init__()
        self.base_layer = base
        # The nesting is that of the published keys.
        self.lora_A = nn.ModuleDict({"default": down})
        self.lora_B = nn.ModuleDict({"default": up})

    def weight(self) -> Tensor:
        """Return the weight with its update, which an exported graph holds as one constant."""
        base = self.get_parameter("base_layer.weight")
        down = self.get_parameter("lora_A.default.weight").flatten(1)  # (8, inputs)
        up = self.get_parameter("lora_B.default.weight").flatten(1)  # (outputs, 8)
        return base + SCALE * (up @ down).view(base.shape)


class AdaptedLinear(_Adapted):
    """An adapted linear layer."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(
            nn.Linear(inputs, outputs),
            nn.Linear(inputs, RANK, bias=False),
            nn.Linear(RANK, outputs, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (…, inputs) to (…, outputs)."""
        return F.linear(x, self.weight(), self.get_parameter("base_layer.bias"))


class AdaptedPatches(_Adapted):
    """An adapted convolution that makes a token of each patch."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.Conv2d(3, width, PATCH, stride=PATCH),
            nn.Conv2d(3, RANK, PATCH, stride=PATCH, bias=False),
            nn.Conv2d(RANK, width, 1, bias=False),
        )

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, 14 h, 14 w) to (B, width, h, w)."""
        bias = self.get_parameter("base_layer.bias")
        return F.conv2d(image, self.weight(), bias, stride=PATCH)
