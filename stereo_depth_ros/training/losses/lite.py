"""What `lite` is trained for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.lite import SPAN, Matches

_BEND = 0.5  # px, beyond which errors count less and less
_FAR_OFF = 20.0  # px, beyond which an error is no worse
_EQUALLY_WRONG = 8.0  # px, the same for the choice between candidates
_EQUALLY_RIGHT = 0.5  # px, by which two candidates may differ and both be chosen
_COSTLY, _COSTLIEST = 4.0, 8.0  # px off that doubles what confidence costs, and by how much at most
_STAKE = 2.0  # px, beyond which it matters no more how much worse one candidate is


def loss(matches: Matches, disparity: Tensor, prior: Tensor) -> dict[str, Tensor]:
    """Return the loss terms, scalars, for true ``disparity`` and ``prior``, (B, 1, H, W) px each.

    ``disparity``: logarithm of the error at full size, so that a few hopeless pixels do not
    outweigh the many that can be made exact, and a little of the error itself; ``matched``: the
    logarithm where the prior was chosen too; ``half``: at 1/2, before the refinement.
    ``distribution``: cross entropy of the candidates at 1/4, which makes the softmax peaked and
    learns much faster than its expectation alone. ``choice``: cross entropy with the chance that
    the errors of both candidates give the matched one, where they differ. ``confidence``: cross
    entropy with exp(-error / 1 px), so that it orders errors of every size; to be sure of what is
    far off, such as a near sky, costs most.
    """
    known = disparity < SPAN
    # One pixel stands for all of 2x2: a mean would invent depths at edges.
    sparse = (..., slice(1, None, 2), slice(1, None, 2))
    error = (matches.disparity - disparity).abs()
    half = (2 * matches.half - disparity[sparse]).abs()
    own = (matches.matched - disparity).abs()
    far_off = error.detach()
    confidence = F.binary_cross_entropy_with_logits(
        matches.confidence_logit,
        torch.exp(-far_off),
        1 + (far_off / _COSTLY).clamp(max=_COSTLIEST),
        reduction="none",
    )
    wrong, wrong_prior = (
        (candidate - disparity).abs().detach().clamp(max=_EQUALLY_WRONG)
        for candidate in (matches.matched, prior)
    )
    advantage = wrong_prior - wrong
    stake = advantage.abs().clamp(max=_STAKE) / _STAKE
    choice = F.binary_cross_entropy_with_logits(
        matches.choice, torch.sigmoid(advantage / _EQUALLY_RIGHT), reduction="none"
    )
    return {
        "disparity": _mean(_bent(error) + 0.1 * error.clamp(max=_FAR_OFF), known),
        "matched": 0.4 * _mean(_bent(own), known),
        "half": 0.2 * _mean(_bent(half), known[sparse]),
        "distribution": _distribution(matches.logits, disparity),
        "choice": _mean(stake * choice, known),
        "confidence": 0.5 * _mean(confidence, known),
    }


def _bent(error: Tensor) -> Tensor:
    """Return errors in px, those beyond ``_BEND`` by their logarithm."""
    return _BEND * torch.log1p(error / _BEND)


def _distribution(logits: Tensor, disparity: Tensor) -> Tensor:
    """Cross entropy with the disparities of every 4x4 pixels, each between two candidates.

    Blocks at the edge of a thing hold two peaks.
    """
    candidates = logits.shape[1]
    log_p = logits.log_softmax(1)
    total = count = torch.zeros_like(log_p[:, :1])
    for row in (0, 2):
        for column in (1, 3):
            target = disparity[:, :, row::4, column::4] / 4
            known = target <= candidates - 1
            target = target.clamp(0, candidates - 1)
            low = target.floor().clamp(max=candidates - 2)
            share = target - low
            low = low.long()
            entropy = -((1 - share) * log_p.gather(1, low) + share * log_p.gather(1, low + 1))
            total = total + entropy * known
            count = count + known
    return total.sum() / count.sum().clamp(min=1)


def _mean(values: Tensor, weight: Tensor) -> Tensor:
    return (values * weight).sum() / weight.sum().clamp(min=1)
