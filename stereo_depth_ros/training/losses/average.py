"""Means over what is known of each pair."""

from __future__ import annotations

from torch import Tensor


def average(values: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over the pairs of their means over ``valid`` pixels, 0 for a pair of none.

    So every pair counts alike, however sparse its truth, and a batch as much as its halves.
    ``values`` and ``valid`` are (B, 1, H, W).
    """
    total = values.masked_fill(~valid, 0).flatten(1).sum(1)
    return (total / valid.flatten(1).sum(1).clamp(min=1)).mean()
