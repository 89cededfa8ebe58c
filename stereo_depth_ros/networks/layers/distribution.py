"""What a distribution over disparities says: a disparity and its confidence."""

from __future__ import annotations

import torch
from torch import Tensor


def expected_disparity(probability: Tensor) -> Tensor:
    """Return the mean candidate, (B, 1, H, W), of ``probability`` (B, D, H, W), in its steps."""
    steps = torch.arange(
        probability.shape[1], device=probability.device, dtype=probability.dtype
    ).view(1, -1, 1, 1)
    return (probability * steps).sum(1, keepdim=True)


def mass_around(probability: Tensor, candidate: Tensor, radius: float = 1.5) -> Tensor:
    """Return how much of ``probability`` (B, D, H, W) lies near ``candidate`` (B, 1, H, W).

    ``candidate`` counts in the volume's own steps. What lies within ``radius`` steps counts whole,
    less and less further out, nothing from twice that on; so the result (B, 1, H, W), 0 to 1,
    changes smoothly with the candidate.
    """
    steps = torch.arange(
        probability.shape[1], device=probability.device, dtype=probability.dtype
    ).view(1, -1, 1, 1)
    weight = (2 - (steps - candidate).abs() / radius).clamp(0, 1)
    # Rounding may take the sum past 1.
    return (probability * weight).sum(1, keepdim=True).clamp(max=1)


def rate_step(last_step: Tensor, scale: float = 1.0) -> Tensor:
    """Return 1 where the last refinement step (px, any shape) was 0, and 1/2 where ``scale``."""
    return scale / (scale + last_step.abs())
