"""The DINOv2 vision transformer (Oquab et al. 2023) as Depth Anything V2 uses it.

Patches of 14 px, no registers, positions resampled to any grid. Keys are those of the public
``dinov2_vit{s,b,l}14``; its ``mask_token`` serves training alone and is not here.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import MLP
from stereo_depth_ros.networks.layers.resampling import resample
from stereo_depth_ros.networks.layers.size import fix_size

PATCH = 14
_TABLE = 37  # the positional table is 37 x 37, from training at 518 px


class ViTSize(NamedTuple):
    """``taps`` are the blocks (from 0) whose tokens a dense prediction head reads."""

    width: int
    depth: int
    heads: int
    taps: tuple[int, ...]


VIT_SIZES = {
    "vits": ViTSize(384, 12, 6, (2, 5, 8, 11)),
    "vitb": ViTSize(768, 12, 12, (2, 5, 8, 11)),
    "vitl": ViTSize(1024, 24, 16, (4, 11, 17, 23)),
}


class Attention(nn.Module):
    """Self-attention between tokens (B, N, C), with one projection for q, k and v."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv: nn.Module = nn.Linear(width, 3 * width)
        self.proj: nn.Module = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, C) to the same."""
        batch, count, width = tokens.shape
        qkv = self.qkv(tokens).view(batch, count, 3, self.heads, width // self.heads)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x (B, heads, N, 64)
        mixed = F.scaled_dot_product_attention(q, k, v)
        return self.proj(mixed.transpose(1, 2).reshape(batch, count, width))


class LayerScale(nn.Module):
    """A learned factor for each channel."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, C) to the same."""
        return tokens * self.gamma


class Block(nn.Module):
    """One pre-norm transformer block on tokens (B, N, C).

    ``attn`` and ``mlp`` map tokens to tokens; a subclass may put others in their place. Without
    ``has_scale`` it is a block of the plain vision transformer (Dosovitskiy et al. 2021).
    """

    def __init__(self, width: int, heads: int, has_scale: bool = True) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = Attention(width, heads)
        self.ls1 = LayerScale(width) if has_scale else nn.Identity()
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp: nn.Module = MLP(width)
        self.ls2 = LayerScale(width) if has_scale else nn.Identity()

    def forward(self, tokens: Tensor, *grid: tuple[int, int]) -> Tensor:
        """Map (B, N, C) to the same; ``grid`` goes to an ``mlp`` that takes it."""
        tokens = tokens + self.ls1(self.attn(self.norm1(tokens)))
        return tokens + self.ls2(self.mlp(self.norm2(tokens), *grid))


class PatchEmbed(nn.Module):
    """One token for each patch of the image."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj: nn.Module = nn.Conv2d(3, width, PATCH, stride=PATCH)

    def forward(self, image: Tensor) -> Tensor:
        """Map (B, 3, 14 h, 14 w) to (B, C, h, w)."""
        return self.proj(image)


class DinoV2(nn.Module):
    """The transformer of one of ``VIT_SIZES``; returns the tokens of its taps."""

    def __init__(self, size: ViTSize) -> None:
        super().__init__()
        self.taps = size.taps
        self.cls_token = nn.Parameter(torch.zeros(1, 1, size.width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + _TABLE**2, size.width))
        self.patch_embed = PatchEmbed(size.width)
        self.blocks = nn.ModuleList(Block(size.width, size.heads) for _ in range(size.depth))
        self.norm = nn.LayerNorm(size.width, eps=1e-6)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Map a normalised image (B, 3, 14 h, 14 w) to one (B, C, h, w) for each tap.

        All taps are normalised by the final norm; the class token is dropped.
        """
        height, width = (side // PATCH for side in fix_size(image))
        tokens, maps = self.embed(image), []
        for index, block in enumerate(self.blocks):
            tokens = block(tokens)
            if index in self.taps:
                maps.append(self.unflatten(tokens, height, width))
        return maps

    def embed(self, image: Tensor) -> Tensor:
        """Return the tokens (B, 1 + h w, C) that enter the first block, class token first."""
        patches = self.patch_embed(image)  # (B, C, h, w)
        tokens = (patches + self._positions(fix_size(patches))).flatten(2).transpose(1, 2)
        first = self.cls_token + self.pos_embed[:, :1]
        return torch.cat([first.expand(tokens.shape[0], -1, -1), tokens], 1)

    def unflatten(self, tokens: Tensor, height: int, width: int) -> Tensor:
        """Return the normalised patch tokens as a map (B, C, height, width)."""
        return self.norm(tokens)[:, 1:].transpose(1, 2).unflatten(2, (height, width))

    def _positions(self, grid: tuple[int, int]) -> Tensor:
        """Return the positional table at ``grid``, (1, C, h, w)."""
        table = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (_TABLE, _TABLE))
        if grid == (_TABLE, _TABLE):
            return table
        # DINOv2 was trained with this 0.1: without it, each position is read slightly elsewhere.
        height, width = grid
        return resample(table, grid, ((height + 0.1) / _TABLE, (width + 0.1) / _TABLE))
