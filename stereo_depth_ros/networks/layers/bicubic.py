"""Bicubic resampling as two constant matrices, which every exporter and runtime can multiply."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

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
