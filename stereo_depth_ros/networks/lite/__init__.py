"""`lite`: a small stereo network that looks where matching is hard.

A classical matcher measures textured surfaces better than a network of this size; it fails where
nothing can be matched: blank walls, sky, reflections, what one view alone sees. So `lite` takes its
answer as a prior, and chooses, corrects, fills and rates. Without a prior it matches by itself.

Both views pass one feature pyramid. Cosine correlations at 1/4, 1/8 and 1/16, added up at 1/4, are
a 2-D map with one channel for each candidate disparity, to which the prior is added; a U-Net under
the left features corrects it. Around its highest peak lies the matched disparity. Raised to 1/2 by
learned convex combinations and refined there, it goes to full resolution in the same way. There
every pixel takes it or the prior, judged by how well either explains the left view by the right
one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput, check_views, prior_of
from stereo_depth_ros.networks.lite.aggregation import Aggregation, summarise
from stereo_depth_ros.networks.lite.blocks import conv, double, nearest
from stereo_depth_ros.networks.lite.judgement import Judgement, four_of_each
from stereo_depth_ros.networks.lite.matching import CANDIDATES, Matching, highest_peak, softmax
from stereo_depth_ros.networks.lite.pyramid import Pyramid
from stereo_depth_ros.networks.lite.refinement import Refinement, Upsampling

SPAN = 4 * CANDIDATES  # px


@dataclass(frozen=True)
class LiteConfig:
    """How a `Lite` is built; ``max_disparity`` in px."""

    max_disparity: int = SPAN


VARIANTS = {"base": LiteConfig()}


def create(variant: str, config: LiteConfig) -> Lite:
    """Build the one variant with untrained weights."""
    return Lite(config.max_disparity)


class Matches(NamedTuple):
    """What one pass yields."""

    disparity: Tensor  # (B, 1, H, W), px
    confidence_logit: Tensor  # (B, 1, H, W)
    matched: Tensor  # (B, 1, H, W), px, the network's own
    choice: Tensor  # (B, 1, H, W), logit of taking it rather than the prior
    half: Tensor  # (B, 1, H/2, W/2) before refinement, in steps of 2 px
    logits: Tensor  # (B, CANDIDATES, H/4, W/4), of the candidates


class Lite(StereoNetwork):
    """See the module. Its ``confidence`` is a head trained to tell small errors from large ones.

    The volume spans 192 px. For a smaller ``max_disparity`` the candidates beyond it are left out;
    for a larger one the images are matched at a reduced size and the disparity scaled back.
    """

    name = "lite"
    variant = "base"
    licence = "Apache-2.0"
    multiple = 32
    min_size = 1, SPAN  # below, a row has fewer columns than candidates
    takes_prior = True

    def __init__(self, max_disparity: int = SPAN) -> None:
        super().__init__()
        if max_disparity < 16:
            raise ValueError(f"max_disparity is {max_disparity}, at least 16 px are needed")
        self.max_disparity = max_disparity
        # Beyond the span, how far the images are reduced is worked out in Python.
        self.any_size = max_disparity <= SPAN
        self.pyramid = Pyramid()
        self.matching = Matching()
        self.aggregation = Aggregation()
        self.score = nn.Conv2d(32, CANDIDATES, 1)
        # Of the expectation, which a sharp distribution draws towards whole candidates.
        self.shift = nn.Conv2d(32, 1, 1)
        self.to_half = Upsampling(32)
        self.refinement = Refinement(32)
        features = Refinement.CHANNELS
        self.to_full = Upsampling(features)
        self.judgement = Judgement(features)
        judged = features + Judgement.CHANNELS
        self.choice = nn.Conv2d(judged, 4, 1)
        self.confidence = nn.Sequential(conv(judged + 2 * 4, 16, kernel=1), nn.Conv2d(16, 4, 1))
        for value in (*self.shift.parameters(), *self.refinement.step.parameters()):
            nn.init.zeros_(value)

    def prepare(
        self,
        left: Tensor,
        right: Tensor,
        prior: Tensor | None = None,
        prior_confidence: Tensor | None = None,
    ) -> tuple[list[Tensor], Callable[[StereoOutput], StereoOutput]]:
        """Return what ``match`` takes and what restores its output; reduced beyond 192 px."""
        if self.max_disparity <= SPAN:
            return super().prepare(left, right, prior, prior_confidence)
        # Resizing would hide what does not fit.
        check_views(left, right)
        prior, prior_confidence = prior_of(left, prior, prior_confidence)
        height, width = (int(side) for side in left.shape[2:])
        scale = SPAN / self.max_disparity
        size = (round(height * scale), round(width * scale))
        images = [F.interpolate(image, size, mode="bilinear") for image in (left, right)]
        across = size[1] / width
        given = [nearest(x, size) for x in (prior * across, prior_confidence)]
        inputs, crop = super().prepare(*images, *given)

        def restore(output: StereoOutput) -> StereoOutput:
            disparity, confidence = (
                F.interpolate(x, (height, width), mode="bilinear") for x in crop(output)
            )
            return StereoOutput(disparity / across, confidence)

        return inputs, restore

    def match(self, left: Tensor, right: Tensor, *prior: Tensor) -> StereoOutput:
        """Match a pair whose size is a multiple of ``multiple``; see ``forward``."""
        matches = self.matches(left, right, *prior)
        return StereoOutput(matches.disparity, matches.confidence_logit.sigmoid())

    def matches(
        self, left: Tensor, right: Tensor, prior: Tensor, prior_confidence: Tensor
    ) -> Matches:
        """Return all that training looks at, for images and prior of multiples of 32 px."""
        images = torch.cat([left, right]) / 127.5 - 1
        batch = left.shape[0]
        both = self.pyramid(images)
        half, *seen = (x[:batch] for x in both)
        seen_right = [x[batch:] for x in both[1:]]
        volumes, total = self.matching(seen, seen_right)
        known, bump = self.aggregation(volumes, seen, summarise(prior, prior_confidence))
        # The U-Net corrects what plain matching says, which learns several times faster than
        # finding out what its 48 channels mean.
        logits = total + bump + self.score(known).float()
        if self.max_disparity < SPAN:
            logits = logits[:, : -(-self.max_disparity // 4)]
        mean, mass = highest_peak(softmax(logits))
        first = F.pixel_shuffle(self.to_half(mean + self.shift(known).float(), known), 2)
        # From here on the four pixels of a half-size one are channels, which saves moving them.
        fine_prior = four_of_each(prior), four_of_each(prior_confidence)
        second, features = self.refinement(first, double(mass), fine_prior, half, known)
        matched = self.to_full(second, features)
        greys = images.mean(1, keepdim=True)
        # Detached: it judges, and moves neither.
        judged = self.judgement(
            matched.detach(), fine_prior, (greys[:batch], greys[batch:]), features
        )
        judged = torch.cat([features, judged], 1)
        choice = self.choice(judged).float()
        # A mean of two surfaces would lie on neither.
        disparity = torch.where(choice > 0, matched, fine_prior[0])
        evidence = torch.cat([judged, fine_prior[1], choice.sigmoid()], 1)
        # Detached: the head reads what is there, and does not trade disparity for confidence.
        confidence = self.confidence(evidence.detach()).float()
        disparity, confidence, matched, choice = (
            F.pixel_shuffle(x, 2) for x in (disparity, confidence, matched, choice)
        )
        return Matches(disparity, confidence, matched, choice, first, logits)
