"""Attention within a view and across the views, along rows or over the whole map."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Projections(nn.Module):
    """The linear layers before and after the attention of sequences (S, L, C)."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (channels // heads) ** -0.5
        self.q = nn.Linear(channels, channels, bias=False)
        self.k = nn.Linear(channels, channels, bias=False)
        self.v = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels, bias=False)

    def _project(self, query: Tensor, source: Tensor) -> list[Tensor]:
        """Return queries, keys and values, each (S, heads, L, C / heads)."""
        size = (query.shape[0], query.shape[1], self.heads, -1)
        projected = self.q(query), self.k(source), self.v(source)
        return [x.reshape(size).transpose(1, 2) for x in projected]

    def _merge(self, values: Tensor) -> Tensor:
        return self.proj(values.transpose(1, 2).flatten(2))


class Attention(Projections):
    """Multi-head attention of sequences (S, L, C)."""

    def forward(self, query: Tensor, source: Tensor) -> Tensor:
        """Return what each token of ``query`` reads from ``source``, (S, L, C) all three."""
        q, k, v = self._project(query, source)
        return self._merge(F.scaled_dot_product_attention(q, k, v))


class PositionalAttention(Projections):
    """Attention among all cells of a grid that also says where the read cells lie.

    The sum over keys of weight times relative position splits into one over the keys' columns and
    one over their rows, so no table of all pairs of cells is needed.
    """

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__(channels, heads)
        self.pe_proj = nn.Linear(32, channels // heads)

    def forward(self, query: Tensor, source: Tensor, along_x: Tensor, along_y: Tensor) -> Tensor:
        """Return what each cell reads, (S, h*w, C).

        ``along_x`` (w, w, 16) and ``along_y`` (h, h, 16) encode the query's cell minus the key's.
        """
        columns, rows = along_x.shape[0], along_y.shape[0]
        q, k, v = self._project(query, source)  # (S, heads, h*w, C / heads)
        weights = (q * self.scale @ k.transpose(-2, -1)).softmax(-1)

        by_key = weights.reshape(-1, rows * columns, rows, columns)  # (S * heads, query, y, x)
        on_columns = by_key.sum(2).reshape(-1, rows, columns, columns)
        on_rows = by_key.sum(3).reshape(-1, rows, columns, rows)
        x = (on_columns.transpose(1, 2) @ along_x).transpose(1, 2)  # (S * heads, h, w, 16)
        y = on_rows @ along_y
        where = torch.cat([x, y], -1).reshape(-1, self.heads, rows * columns, 32)
        return self._merge(weights @ v + self.pe_proj(where))


def encode_offsets(cells: int) -> np.ndarray:
    """Return the code of every query cell minus every key cell of an axis, (cells, cells, 16)."""
    samples = np.tanh(np.linspace(-3, 3, 2 * cells + 1))
    x = (np.linspace(-1, 1, 16) - samples[:, None]) * (32 / 5)
    code = np.sinc(x * (3.1415 / np.pi))  # the published π
    code /= np.linalg.norm(code, axis=1, keepdims=True)
    cell = np.arange(cells)
    # As published, offset 0 takes the sample before the middle one. Both axes count half.
    return (0.5 * code[cell[:, None] - cell + cells - 1]).astype(np.float32)


class SelfAttention(nn.Module):
    """What each token reads within its own sequence, added."""

    def __init__(self, channels: int, heads: int, positional: bool = False) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.attn = (PositionalAttention if positional else Attention)(channels, heads)

    def forward(self, tokens: Tensor, *offsets: Tensor) -> Tensor:
        """Map (S, L, C) to the same; positional attention takes the codes of its offsets."""
        normed = self.norm(tokens)
        return tokens + self.attn(normed, normed, *offsets)


class CrossAttention(nn.Module):
    """What each token reads in the other view's sequence, added; both directions at once."""

    def __init__(self, channels: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.attn = Attention(channels, heads)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (S, L, C), the left view's sequences first, to the same."""
        normed = self.norm(tokens)
        left, right = normed.chunk(2)
        return tokens + self.attn(normed, torch.cat([right, left]))


class FeedForward(nn.Module):
    """Two linear layers for each token, added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels, elementwise_affine=False)
        self.ffn = nn.Sequential(
            nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (S, L, C) to the same."""
        return tokens + self.ffn(self.norm(tokens))


class GlobalBlock(nn.Module):
    """All cells of a map attend to each other."""

    def __init__(self, channels: int, positional: bool = False) -> None:
        super().__init__()
        self.self_attn = SelfAttention(channels, 8, positional)
        self.ffn = FeedForward(channels)

    def forward(self, z: Tensor, *offsets: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        tokens = z.flatten(2).transpose(1, 2)  # (B, h*w, C)
        tokens = self.ffn(self.self_attn(tokens, *offsets))
        return tokens.transpose(1, 2).reshape(z.shape)


class CrossBlock(nn.Module):
    """Cells attend to the other view, then to their own: along rows, or to all cells."""

    def __init__(self, channels: int, heads: int, rows: bool) -> None:
        super().__init__()
        self.rows = rows
        self.cross_attn = CrossAttention(channels, heads)
        self.ffn_c = FeedForward(channels)
        self.self_attn = SelfAttention(channels, heads)
        self.ffn = FeedForward(channels)

    def forward(self, z: Tensor) -> Tensor:
        """Map (2B, C, h, w) to the same."""
        grid = z.permute(0, 2, 3, 1)  # (2B, h, w, C)
        tokens = grid.flatten(0, 1) if self.rows else grid.flatten(1, 2)
        tokens = self.ffn_c(self.cross_attn(tokens))  # (2B*h, w, C) or (2B, h*w, C)
        tokens = self.ffn(self.self_attn(tokens))
        return tokens.reshape(grid.shape).permute(0, 3, 1, 2)
