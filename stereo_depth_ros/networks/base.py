"""What every network is to the rest of the package."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.resampling import convex_upsample
from stereo_depth_ros.networks.layers.size import Padding, size_of

Entry = TypeVar("Entry")


class StereoOutput(NamedTuple):
    """Float32 maps of the left view, (B, 1, H, W): ``disparity`` in px, ``confidence`` 0 to 1."""

    disparity: Tensor
    confidence: Tensor


class StereoNetwork(nn.Module):
    """A stereo network in evaluation: two images in, disparity and confidence out.

    A subclass sets the attributes below and implements ``match`` for images whose height and
    width are multiples of ``multiple``: match(left, right), or match(left, right, prior,
    prior_confidence) where it ``takes_prior``. Its state dict has the names and shapes of its
    authors', less what no disparity depends on: ``load_state_dict`` takes theirs as it is.
    """

    name: str
    variant: str
    licence: str  # of the authors' published weights, an SPDX name or a sentence
    multiple: int
    max_disparity: int  # px, 0 where the whole row is searched
    # Whether its graph may be exported for any size from ``min_size`` (height, width) on.
    any_size: bool = False
    min_size: tuple[int, int] = (1, 1)
    iterations: int | None = None  # refinement steps, None where there are none
    padding: type[Padding] = Padding
    float32_parts: tuple[str, ...] = ()  # submodules that stay in float32 in mixed precision
    takes_prior: bool = False  # whether it takes a matcher's output too, see ``forward``
    unused: Collection[str] = ()  # shell patterns of the published entries that are not needed
    # Regular expressions of second names of published entries, and the first names.
    second_names: ClassVar[Mapping[str, str]] = {}

    match: Callable[..., StereoOutput]

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        prior: Tensor | None = None,
        prior_confidence: Tensor | None = None,
    ) -> StereoOutput:
        """Match a rectified pair of any size.

        Parameters
        ----------
        left, right
            Float32 (B, 3, H, W), RGB, 0 to 255.
        prior, prior_confidence
            Float32 (B, 1, H, W), the output of a matcher: disparity of the left view in px and
            confidence 0 to 1, both 0 where it has none. Only for a network that ``takes_prior``;
            None stands for zeros.

        Returns
        -------
        StereoOutput
            Maps of the size of the images.

        Raises
        ------
        ValueError
            When the views differ in size, or for a prior that does not fit.
        """
        inputs, restore = self.prepare(left, right, prior, prior_confidence)
        return restore(self.match(*inputs))

    def predictions(self, left: Tensor, right: Tensor, *prior: Tensor) -> Iterator[StereoOutput]:
        """Yield the output of each step of a pass at full size, the last that of ``forward``.

        Parameters and errors are those of ``forward``. A network without steps yields once.
        """
        yield self(left, right, *prior)

    def prepare(
        self,
        left: Tensor,
        right: Tensor,
        prior: Tensor | None = None,
        prior_confidence: Tensor | None = None,
    ) -> tuple[list[Tensor], Callable[[StereoOutput], StereoOutput]]:
        """Return what ``match`` takes for the inputs of ``forward``, and what crops its output."""
        check_views(left, right)
        padding = self.padding(*size_of(left), self.multiple)
        inputs = [padding.pad(left), padding.pad(right)]
        if self.takes_prior:
            inputs += map(padding.pad_zeros, prior_of(left, prior, prior_confidence))
        elif prior is not None or prior_confidence is not None:
            raise ValueError(f"{self.name} takes no prior")

        def crop(output: StereoOutput) -> StereoOutput:
            return StereoOutput(*(padding.crop(map_).float() for map_ in output))

        return inputs, crop

    def own_entries(self, published: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the entries of an authors' state dict, by first names, less the unneeded ones."""
        entries = dict(published)
        for pattern, first in self.second_names.items():
            for key, value in published.items():
                name, count = re.subn(pattern, first, key)
                if count:
                    entries.setdefault(name, value)
        own = self.state_dict().keys()
        return {
            key: value
            for key, value in entries.items()
            if key in own or not any(fnmatchcase(key, pattern) for pattern in self.unused)
        }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load a state dict of this network or of its authors'; see ``nn.Module``."""
        return super().load_state_dict(self.own_entries(state_dict), strict, assign)


def enlarge_quarter(
    disparity: Tensor, confidence: Tensor, logits: Tensor | None = None
) -> StereoOutput:
    """Bring disparity, in its own px, and confidence, (B, 1, H/4, W/4) both, to full size.

    ``logits`` (B, 144, H/4, W/4) are those of ``convex_upsample``; without them the disparity is
    interpolated as the confidence is.
    """
    disparity = 4 * disparity
    return StereoOutput(
        F.interpolate(disparity, scale_factor=4, mode="bilinear")
        if logits is None
        else convex_upsample(disparity, logits),
        F.interpolate(confidence, scale_factor=4, mode="bilinear"),
    )


def check_views(left: Tensor, right: Tensor) -> None:
    """Raise a ValueError where the views differ in size."""
    if left.shape != right.shape:
        raise ValueError(
            f"left is {tuple(left.shape)} and right {tuple(right.shape)}; give a pair of one size"
        )


def prior_of(
    left: Tensor, prior: Tensor | None, confidence: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the prior of ``left``, zeros for none; a ValueError names one that does not fit."""
    if prior is None and confidence is None:
        nothing = torch.zeros_like(left[:, :1])
        return nothing, nothing
    expected = (left.shape[0], 1, *left.shape[2:])
    for name, value in (("prior", prior), ("prior_confidence", confidence)):
        if value is None or value.shape != expected:
            actual = "missing" if value is None else tuple(value.shape)
            raise ValueError(f"{name} is {actual}; give {expected}, or no prior at all")
    assert prior is not None and confidence is not None
    return prior, confidence
