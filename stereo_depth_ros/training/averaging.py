"""Averaged weights, which are better than those of any single step."""

from __future__ import annotations

import torch
from torch import nn

_OVER = 500  # steps that the averaged weights look back on


@torch.no_grad()
def update_average(average: nn.Module, network: nn.Module, step: int) -> None:
    """Move the weights of ``average`` towards those that ``network`` has after ``step``."""
    # A short memory at first, or the untrained weights would linger.
    keep = 1 - 1 / min(_OVER, 1 + step / 10)
    old, new = (list(each.state_dict().values()) for each in (average, network))
    # At once: on a GPU hundreds of small operations would take as long as the step.
    floating = [i for i, value in enumerate(old) if value.is_floating_point()]
    torch._foreach_lerp_([old[i] for i in floating], [new[i] for i in floating], 1 - keep)
    for value, current in zip(old, new, strict=True):
        if not value.is_floating_point():
            value.copy_(current)
