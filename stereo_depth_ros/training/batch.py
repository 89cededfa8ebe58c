"""What a training step takes, wherever its pairs come from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stereo_depth_ros.networks import StereoNetwork

UNKNOWN = 1e4  # px, where there is no truth: beyond every range, and finite to take part in sums


@dataclass
class Batch:
    """Pairs as cameras see them, with the truth of the left view.

    Attributes
    ----------
    left, right
        (B, 3, H, W) float32 RGB, 0 to 255.
    prior, prior_confidence
        (B, 1, H, W) float32, what SGBM makes of the pair, confidence 0 where it guesses; zeros
        where there is no prior.
    disparity
        (B, 1, H, W) float32 px, 0 for what is infinitely far, `UNKNOWN` where it is not known.
    visible
        (B, 1, H, W) float32, 1 where the right view sees the point too, 0 where it does not, NaN
        where that is not known.
    """

    left: Tensor
    right: Tensor
    prior: Tensor
    prior_confidence: Tensor
    disparity: Tensor
    visible: Tensor

    @property
    def valid(self) -> Tensor:
        """Where the disparity is known, (B, 1, H, W) bool."""
        return self.disparity < UNKNOWN

    def to(self, device: torch.device) -> Batch:
        """Return the same batch on ``device``."""
        return Batch(
            **{name: tensor.to(device, non_blocking=True) for name, tensor in vars(self).items()}
        )

    def inputs_of(self, network: StereoNetwork) -> tuple[Tensor, ...]:
        """Return what ``network`` takes: the views, and the prior if it does."""
        prior = (self.prior, self.prior_confidence) if network.takes_prior else ()
        return self.left, self.right, *prior
