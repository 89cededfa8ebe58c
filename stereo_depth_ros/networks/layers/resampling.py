"""Bring maps to another size."""

from __future__ import annotations

import math
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import size_of

_A = -0.75  # PyTorch's (and OpenCV's) cubic


def resample(image: Tensor, size: tuple[int, int], scale: tuple[float, float]) -> Tensor:
    """Resample (B, C, H, W) to (B, C, *size); pixel j reads ``(j + 0.5) / scale - 0.5``.

    As ``interpolate(..., mode="bicubic", align_corners=False)`` with a scale that need not be
    the quotient of the sizes; edges repeat.
    """
    rows = _weights(image.shape[-2], size[0], scale[0]).to(image)
    columns = _weights(image.shape[-1], size[1], scale[1]).to(image)
    return rows @ image @ columns.T


def _weights(source: int, target: int, scale: float) -> Tensor:
    """Return the (target, source) matrix of one axis."""
    # Sizes are tensors while the network is traced for export.
    source, target, scale = int(source), int(target), float(scale)
    position = (np.arange(target) + 0.5) / scale - 0.5
    base = np.floor(position).astype(int)
    weights = np.zeros((target, source))
    for tap in range(-1, 3):
        t = np.abs(position - base - tap)
        inner = ((_A + 2) * t - (_A + 3)) * t * t + 1  # the kernel at t <= 1
        outer = ((_A * t - 5 * _A) * t + 8 * _A) * t - 4 * _A  # and at 1 < t <= 2
        nearest = np.clip(base + tap, 0, source - 1)
        np.add.at(weights, (np.arange(target), nearest), np.where(t <= 1, inner, outer))
    return torch.from_numpy(weights.astype(np.float32))


def halve(x: Tensor) -> Tensor:
    """Return (B, C, H, W) averaged to half the size, zeros around it, as RAFT-Stereo does."""
    return F.avg_pool2d(x, 3, stride=2, padding=1)


def enlarge(x: Tensor, like: Tensor) -> Tensor:
    """Return (B, C, h, w) at the size of ``like``, corner on corner, as RAFT-Stereo does."""
    return F.interpolate(x, size=size_of(like), mode="bilinear", align_corners=True)


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
