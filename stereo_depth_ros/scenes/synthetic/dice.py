"""Random draws, repeatable on every machine."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Dice:
    """Random draws from one seeded generator."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniformly from low..high."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniformly in the logarithm, for sizes."""
        return torch.exp(self.uniform(math.log(low), math.log(high), *shape))

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw True with ``probability``."""
        return torch.rand(*shape, generator=self.generator) < probability

    def integers(self, count: int, *shape: int) -> Tensor:
        """Draw integers from 0..count - 1."""
        return torch.randint(count, shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator)
