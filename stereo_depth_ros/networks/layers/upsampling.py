"""Upsample a map with weights that a network predicts for each output pixel."""

from __future__ import annotations

import math
from typing import cast

from torch import Tensor
from torch.nn import functional as F


def convex_upsample(maps: Tensor, logits: Tensor, border: str = "constant") -> Tensor:
    """Return each output pixel as a weighted mean of the 3 x 3 input pixels around it.

    ``maps`` (B, C, H, W) share the weights: the softmax over the nine neighbours, row by row, of
    ``logits`` (B, 9 * f * f, H, W), in which the f x f output pixels of an input pixel vary
    fastest. Logits of full resolution get this layout by ``pixel_unshuffle``; that way the
    neighbours are never enlarged. ``border`` is the padding mode beyond the edge; "constant",
    zeros, pulls the outermost pixels towards 0. Returns float32 (B, C, f * H, f * W).
    """
    batch, channels, height, width = logits.shape
    weights = logits.float().reshape(batch, 9, channels // 9, height, width).softmax(1)
    padded = F.pad(maps.float(), (1, 1, 1, 1), mode=border)
    mean = sum(
        padded[:, :, None, k // 3 : k // 3 + height, k % 3 : k % 3 + width]  # (B, C, 1, H, W)
        * weights[:, None, k]  # (B, 1, f * f, H, W)
        for k in range(9)
    )
    return F.pixel_shuffle(cast(Tensor, mean).flatten(1, 2), math.isqrt(channels // 9))
