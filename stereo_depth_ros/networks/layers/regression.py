"""From a distribution over disparities to one disparity."""

from __future__ import annotations

import torch
from torch import Tensor


def expected_disparity(probability: Tensor) -> Tensor:
    """Return the mean candidate, (B, 1, H, W), of ``probability`` (B, D, H, W), in its steps."""
    steps = torch.arange(
        probability.shape[1], device=probability.device, dtype=probability.dtype
    ).view(1, -1, 1, 1)
    return (probability * steps).sum(1, keepdim=True)
