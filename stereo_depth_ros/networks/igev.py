"""IGEV's way to a disparity: a filtered cost volume is read again and again around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoOutput, enlarge_quarter
from stereo_depth_ros.networks.iterative import IterativeNetwork, Step, refine
from stereo_depth_ros.networks.layers.conv import ConvNorm
from stereo_depth_ros.networks.layers.distribution import (
    expected_disparity,
    mass_around,
    rate_step,
)
from stereo_depth_ros.networks.layers.lookup import GeometryLookup
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm, normalise
from stereo_depth_ros.networks.layers.volume import (
    all_pairs_correlation,
    concatenation_volume,
    correlation_volume,
    unit_groups,
)

GROUPS = 8  # of channels, in the correlation volume
CONCATENATED = 12  # channels of each view that a hybrid volume holds
RADIUS = 4  # of the lookup, in steps of each of its two levels


class Start(NamedTuple):
    """What the refinement starts from, at 1/4 of the size: (h, w) is (H/4, W/4)."""

    volume: Tensor  # (B, G, D, h, w), read around the disparity
    pairs: Tensor  # (B, 1, w, h, w), the correlation of all pairs, read there too
    probability: Tensor  # (B, D, h, w)
    hidden: Any
    context: Sequence[Any]  # what ``update_block`` takes after ``hidden``


class IgevNetwork(IterativeNetwork):
    """Matches by a filtered volume at 1/4 of the size, refined by recurrent units that read it.

    A subclass implements ``start`` and has the parts named here. The confidence is the share of
    the distribution over disparities that lies around the final one, less where the last step
    still moved it.
    """

    multiple = 32
    iterations: int
    start: Callable[[Tensor, Tensor], Start]  # of normalised images
    cam: nn.Module
    sam: nn.Module
    update_block: Any  # a module with ``upsampling_feature(hidden)``
    stem_2: nn.Module
    spx_2_gru: nn.Module
    spx_gru: nn.Module

    def steps(
        self, left: Tensor, right: Tensor, initial: Tensor | None = None
    ) -> Iterator[Callable[[], StereoOutput]]:
        """Yield the outputs of the regression and of each refinement step.

        ``initial`` (B, 1, H/4, W/4), in its px, replaces the regressed disparity as the start.
        """
        left, right = normalise(left), normalise(right)
        volume, pairs, probability, hidden, context = self.start(left, right)
        disparity = expected_disparity(probability)  # (B, 1, h, w)
        yield lambda: enlarge_quarter(disparity, mass_around(probability, disparity))
        stem = self.stem_2(left)  # (B, ., H/2, W/2)
        for step in refine(
            self.update_block,
            GeometryLookup(volume, pairs, RADIUS),
            hidden,
            context,
            disparity if initial is None else initial,
            self.iterations,
        ):
            yield partial(self.output, step, probability, stem)

    def output(self, step: Step, probability: Tensor, stem: Tensor) -> StereoOutput:
        """Return the output of ``step`` at full size; ``stem`` is the left image's, at 1/2."""
        feature = self.update_block.upsampling_feature(step.hidden)
        logits = self.spx_gru(self.spx_2_gru(feature, stem))  # (B, 9, H, W)
        confidence = mass_around(probability, step.disparity) * rate_step(4 * step.change)
        return enlarge_quarter(step.disparity, confidence, F.pixel_unshuffle(logits, 4))

    def attend(self, hidden: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the first state, the context, and the share (B, 1, h, w) of the small kernels.

        ``hidden`` and ``context`` are (B, ., h, w) and linear.
        """
        context = F.relu(context)
        context = context * self.cam(context)
        return hidden.tanh(), context, self.sam(context)


class HybridVolumeNetwork(IgevNetwork):
    """Filters a volume that holds the groups' correlation and the features of both views."""

    has_unit_features = True  # whether the correlated features have length 1
    proj_cmb: nn.Module
    corr_stem: nn.Module
    corr_feature_att: nn.Module
    cost_agg: nn.Module
    classifier: nn.Module

    def volumes(self, left: Sequence[Tensor], right: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the filtered volume, all pairs and the distribution, as `Start` has them.

        ``left`` are features at 1/4 to 1/32, ``right`` those at 1/4.
        """
        x4, *coarser = left
        volume = self.corr_feature_att(self.corr_stem(self.correlate(x4, right)), x4)
        volume = self.cost_agg(volume, *coarser)
        probability = self.classifier(volume).squeeze(1).float().softmax(1)
        pairs = all_pairs_correlation(unit_groups(x4, 1), unit_groups(right, 1))
        return volume, pairs, probability

    def correlate(self, left: Tensor, right: Tensor) -> Tensor:
        """Return the volume (B, 32, D, h, w): products of groups, then both views' features."""
        planes = self.max_disparity // 4
        if self.has_unit_features:
            features = unit_groups(left, GROUPS), unit_groups(right, GROUPS)
        else:
            features = left.float(), right.float()
        products = correlation_volume(*features, planes, GROUPS)
        both = concatenation_volume(self.proj_cmb(left), self.proj_cmb(right), planes)
        return torch.cat([products, both], 1)


def half_stem(between: int, outputs: int) -> nn.Sequential:
    """Return layers from a normalised image (B, 3, H, W) to features (B, outputs, H/2, W/2)."""
    return nn.Sequential(
        ConvNorm(nn.Conv2d(3, between, 3, stride=2, padding=1, bias=False), InstanceNorm()),
        nn.Conv2d(between, outputs, 3, padding=1, bias=False),
        InstanceNorm(),
        nn.ReLU(),
    )
