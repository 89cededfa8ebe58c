"""What every network is to the rest of the package."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn

from stereo_depth_ros.networks.layers.padding import Padding
from stereo_depth_ros.networks.layers.size import size_of


class StereoOutput(NamedTuple):
    """Float32 maps of the left view, (B, 1, H, W): ``disparity`` in px, ``confidence`` 0 to 1."""

    disparity: Tensor
    confidence: Tensor


class StereoNetwork(nn.Module):
    """A stereo network in evaluation: two images in, disparity and confidence out.

    A subclass sets the attributes below and implements ``match`` for images whose height and
    width are multiples of ``multiple``.
    """

    name: str
    variant: str
    licence: str  # of the authors' published weights, an SPDX name or words
    multiple: int
    max_disparity: int  # px, 0 where the whole row is searched
    iterations: int | None = None  # refinement steps, None where there are none
    padding: type[Padding] = Padding

    def forward(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a rectified pair, float32 (B, 3, H, W) RGB 0 to 255 each, of any H and W."""
        padding = self.padding(*size_of(left), self.multiple)
        disparity, confidence = self.match(padding.pad(left), padding.pad(right))
        return StereoOutput(padding.crop(disparity).float(), padding.crop(confidence).float())

    def match(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a pair whose size is a multiple of ``multiple``; see ``forward``."""
        raise NotImplementedError
