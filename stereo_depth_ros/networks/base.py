"""What every network is to the rest of the package."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from fnmatch import fnmatchcase
from typing import Any, ClassVar, NamedTuple, TypeVar

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.layers.size import Padding, size_of

Entry = TypeVar("Entry")
Network = TypeVar("Network", bound="StereoNetwork")


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
    licence: str  # of the authors' published weights, an SPDX name or words
    multiple: int
    max_disparity: int  # px, 0 where the whole row is searched
    iterations: int | None = None  # refinement steps, None where there are none
    padding: type[Padding] = Padding
    float32_parts: tuple[str, ...] = ()  # submodules that stay in float32 in mixed precision
    takes_prior: bool = False  # whether it can be told what a matcher found, see ``forward``
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
        """Match a rectified pair, float32 (B, 3, H, W) RGB 0 to 255 each, of any H and W.

        ``prior`` and ``prior_confidence``, float32 (B, 1, H, W), are what a matcher found:
        disparity of the left view in px and confidence 0 to 1, both 0 where it found nothing. Only
        a network that ``takes_prior`` may be given them; None stands for zeros.

        Raises
        ------
        ValueError
            When the views differ in size, or for a prior that does not fit.
        """
        check_views(left, right)
        padding = self.padding(*size_of(left), self.multiple)
        given = [padding.pad(left), padding.pad(right)]
        if self.takes_prior:
            given += map(padding.pad_zeros, prior_of(left, prior, prior_confidence))
        elif prior is not None or prior_confidence is not None:
            raise ValueError(f"{self.name} takes no prior")
        disparity, confidence = self.match(*given)
        return StereoOutput(padding.crop(disparity).float(), padding.crop(confidence).float())

    def own_entries(self, published: Mapping[str, Entry]) -> dict[str, Entry]:
        """Return the entries of an authors' state dict, by first names, less the unneeded ones."""
        entries = dict(published)
        for pattern, first in self.second_names.items():
            for key, value in published.items():
                name, found = re.subn(pattern, first, key)
                if found:
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

    def to(self: Network, *args: Any, **kwargs: Any) -> Network:
        """Move or cast as ``nn.Module`` does; ``torch.channels_last`` goes to 2-D convolutions."""
        layout = kwargs.pop("memory_format", None)
        if layout is torch.channels_last:
            for part in self.modules():
                if isinstance(part, (nn.Conv2d, nn.ConvTranspose2d)):
                    nn.Module.to(part, memory_format=layout)
        elif layout is not None:
            kwargs["memory_format"] = layout
        return super().to(*args, **kwargs) if args or kwargs else self


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
    for name, given in (("prior", prior), ("prior_confidence", confidence)):
        if given is None or given.shape != expected:
            found = "missing" if given is None else tuple(given.shape)
            raise ValueError(f"{name} is {found}; give {expected}, or no prior at all")
    assert prior is not None and confidence is not None
    return prior, confidence
