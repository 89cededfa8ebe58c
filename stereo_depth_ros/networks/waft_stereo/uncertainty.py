"""What the network says of its error: a mixture of two Laplace distributions for each pixel."""

from __future__ import annotations

from math import exp

import torch
from torch import Tensor

CHANNELS = 3  # logits of the wide and of the narrow part, logarithm of the wide one's scale
TOLERANCE = 4  # px, as S²M² counts an error
_MAX_LOG_SCALE = 10


def narrow_share(channels: Tensor) -> Tensor:
    """Return the weight of the narrow distribution, whose scale is 1 px, (B, 1, H, W).

    ``channels`` are (B, 3, H, W).
    """
    wide, narrow = channels[:, :1], channels[:, 1:2]
    return torch.sigmoid(narrow - wide)


def rate_error(channels: Tensor) -> Tensor:
    """Return the probability of an error below 4 px, (B, 1, H, W), of ``channels`` (B, 3, H, W).

    A Laplace distribution of scale b lies within t of its centre by 1 - exp(-t / b).
    """
    share = narrow_share(channels)
    scale = channels[:, 2:].clamp(0, _MAX_LOG_SCALE).exp()
    within_narrow = 1 - exp(-TOLERANCE)
    within_wide = 1 - torch.exp(-TOLERANCE / scale)
    return share * within_narrow + (1 - share) * within_wide
