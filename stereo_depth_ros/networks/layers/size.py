"""The size of a map as numbers."""

from __future__ import annotations

from torch import Tensor


def size_of(x: Tensor) -> tuple[int, int]:
    """Return height and width of (…, H, W); also while traced, when a shape holds tensors.

    As numbers they become constants of an exported graph.
    """
    return int(x.shape[-2]), int(x.shape[-1])
