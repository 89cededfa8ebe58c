"""Self-attention between the disparities of each pixel, on a coarse cost volume."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import fix_size


class DisparityTransformer(nn.Module):
    """Post-norm transformer layers on the D tokens that each pixel of a volume holds.

    ``axis`` is what attends to what. "disparity": the tokens of a pixel to each other. "heads":
    the heads of a token to each other, nothing crossing disparities; that is what published
    code computes that hands (token, head, channel) to a kernel which expects (head, token,
    channel).

    Raises
    ------
    ValueError
        For another ``axis``.
    """

    def __init__(self, width: int, layers: int, hidden: int, axis: str, heads: int = 4) -> None:
        super().__init__()
        if axis not in ("disparity", "heads"):
            raise ValueError(f"attention along '{axis}'; it can be along disparity or heads")
        self.sa = nn.ModuleList(Layer(width, hidden, axis, heads) for _ in range(layers))

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, width, D, H, W) to the same."""
        columns = fix_size(volume)
        tokens = volume.permute(0, 3, 4, 2, 1).flatten(0, 2)  # (B H W, D, width)
        tokens = tokens + _positions(*fix_size(tokens)).to(tokens)
        for layer in self.sa:
            tokens = layer(tokens)
        return tokens.unflatten(0, (-1, *columns)).permute(0, 4, 3, 1, 2)


class Layer(nn.Module):
    """Attention, then two linear layers, each normed after its sum with the identity."""

    def __init__(self, width: int, hidden: int, axis: str, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, axis, heads)
        self.norm1 = nn.LayerNorm(width)
        self.linear1 = nn.Linear(width, hidden)
        self.linear2 = nn.Linear(hidden, width)
        self.norm2 = nn.LayerNorm(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, D, width) to the same."""
        tokens = self.norm1(tokens + self.self_attn(tokens))
        return self.norm2(tokens + self.linear2(F.gelu(self.linear1(tokens))))


class Attention(nn.Module):
    """Multi-head attention along ``axis``; see ``DisparityTransformer``."""

    def __init__(self, width: int, axis: str, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.axis = axis
        self.q_proj = nn.Linear(width, width)
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (N, D, width) to the same."""
        projected = self.q_proj(tokens), self.k_proj(tokens), self.v_proj(tokens)
        q, k, v = (side.unflatten(2, (self.heads, -1)) for side in projected)  # (N, D, heads, .)
        if self.axis == "heads":
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            q, k, v = q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)
            mixed = F.scaled_dot_product_attention(q, k, v).transpose(1, 2)
        return self.out_proj(mixed.flatten(2))


def _positions(length: int, width: int) -> Tensor:
    """Return the code of positions, (length, width): sines and cosines in turn."""
    angle = np.arange(length)[:, None] * 10000.0 ** (-np.arange(0, width, 2) / width)
    code = np.stack([np.sin(angle), np.cos(angle)], 2).reshape(length, width)
    return torch.from_numpy(code.astype(np.float32))
