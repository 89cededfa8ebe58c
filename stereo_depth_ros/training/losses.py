"""What `lite` is trained for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.lite import SPAN, Matches

_BEND = 0.25  # px, below which errors count less


def loss(matches: Matches, disparity: Tensor) -> dict[str, Tensor]:
    """Return the loss terms, scalars, for the true ``disparity`` (B, 1, H, W) px.

    ``disparity``: smooth L1 at full size, straight beyond 1/4 px; ``half``: at 1/2, before the
    refinement.
    ``distribution``: cross entropy of the candidates, which makes the softmax single-peaked and
    learns much faster than its expectation alone. ``confidence``: cross entropy with
    exp(-error / 1 px), so that it orders errors of every size.
    """
    known = disparity < SPAN
    # One pixel stands for all of 2x2: a mean would invent depths at edges.
    sparse = (..., slice(1, None, 2), slice(1, None, 2))
    half = F.smooth_l1_loss(2 * matches.half, disparity[sparse], reduction="none", beta=_BEND)
    error = (matches.disparity - disparity).abs()
    smooth = F.smooth_l1_loss(matches.disparity, disparity, reduction="none", beta=_BEND)
    confidence = F.binary_cross_entropy_with_logits(
        matches.confidence_logit, torch.exp(-error.detach()), reduction="none"
    )
    return {
        "disparity": 0.3 * _mean(smooth, known),
        "half": 0.3 * _mean(half, known[sparse]),
        "distribution": _distribution(matches.logits, disparity),
        "confidence": 0.5 * _mean(confidence, known),
    }


def _distribution(logits: Tensor, disparity: Tensor) -> Tensor:
    """Cross entropy with the truth shared between the two candidates around it."""
    candidates = logits.shape[1]
    # One pixel of 4x4 stands for all, as above.
    target = disparity[:, :, 2::4, 2::4] / 4
    known = target <= candidates - 1
    target = target.clamp(0, candidates - 1)
    low = target.floor().clamp(max=candidates - 2)
    share = target - low
    log_p = logits.log_softmax(1)
    low = low.long()
    entropy = -((1 - share) * log_p.gather(1, low) + share * log_p.gather(1, low + 1))
    return _mean(entropy, known)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return (values * mask).sum() / mask.sum().clamp(min=1)
