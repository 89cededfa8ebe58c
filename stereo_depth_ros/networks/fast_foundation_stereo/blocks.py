"""The searched blocks of the volume filtering, built from their records."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.fast_foundation_stereo.structure import Layer
from stereo_depth_ros.networks.layers.conv import AxialPlanar, ConvNorm, FeatureGate, Residual3d
from stereo_depth_ros.networks.layers.disparity_transformer import DisparityTransformer
from stereo_depth_ros.networks.layers.hourglass import Hourglass

# The published parts of the hourglass that a join takes the place of.
REPLACED = {
    "post32_to_16": ("conv3_up", "agg_0", "feature_att_up_16"),
    "post16_to_8": ("conv2_up", "agg_1", "feature_att_up_8"),
    "post8_to_4": ("conv_patch", "atts", "conv_out"),
}


class Chain(nn.Module):
    """Layers in a row; the gates among them see the left feature."""

    def __init__(self, layers: Sequence[Layer]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(build(layer) for layer in layers)

    def forward(self, volume: Tensor, feature: Tensor | None = None) -> Tensor:
        """Filter (B, C, D, H, W), gated by (B, features, H, W)."""
        return _apply(self.layers, volume, feature)


class Join(nn.Module):
    """Bring a coarse volume to the size of a fine one and filter both together."""

    def __init__(self, join: str, upsample: Sequence[Layer], out: Sequence[Layer]) -> None:
        super().__init__()
        if join not in ("concat", "sum"):
            raise ValueError(f"join '{join}' is not concat or sum")
        self.concatenates = join == "concat"
        self.upsample = nn.ModuleList(build(layer) for layer in upsample)
        self.out = nn.ModuleList(build(layer) for layer in out)

    def forward(self, low: Tensor, skip: Tensor, feature: Tensor | None = None) -> Tensor:
        """Join ``low`` and ``skip``, gated by the left feature of the size of ``skip``."""
        raised = _apply(self.upsample, low, None)
        both = torch.cat([raised, skip], 1) if self.concatenates else raised + skip
        return _apply(self.out, both, feature)


class SearchedHourglass(Hourglass):
    """The published hourglass with some of its parts replaced.

    ``blocks`` maps names of parts to records as in ``Structure``.
    """

    def __init__(self, width: int, blocks: Mapping[str, Any]) -> None:
        super().__init__(width, attention_axis="heads")
        self.post32_to_16 = self.post16_to_8 = self.post8_to_4 = None
        for name, record in blocks.items():
            if name in REPLACED:
                setattr(self, name, Join(**record))
                for part in REPLACED[name]:
                    delattr(self, part)
            else:
                setattr(self, name, Chain(record))

    def up_to_16(self, v32: Tensor, skip: Tensor, x16: Tensor) -> Tensor:
        """Join the volumes at 1/32 and 1/16."""
        if self.post32_to_16 is None:
            return super().up_to_16(v32, skip, x16)
        return self.post32_to_16(v32, skip, x16)

    def up_to_8(self, v16: Tensor, skip: Tensor, x8: Tensor) -> Tensor:
        """Join the volumes at 1/16 and 1/8."""
        if self.post16_to_8 is None:
            return super().up_to_8(v16, skip, x8)
        return self.post16_to_8(v16, skip, x8)

    def up_to_4(self, filtered: Tensor, volume: Tensor) -> Tensor:
        """Join the filtered and the unfiltered volume; a block takes the patches of the former."""
        if self.post8_to_4 is None:
            return super().up_to_4(filtered, volume)
        return self.post8_to_4(filtered, volume)


def build(layer: Layer) -> nn.Module:
    """Return the module of a layer's record.

    Raises
    ------
    ValueError
        For an unknown kind, or none.
    TypeError
        For arguments that it does not take.
    """
    if "kind" not in layer:
        raise ValueError(f"a layer has no kind: {layer}; it is one of {', '.join(_KINDS)}")
    if layer["kind"] not in _KINDS:
        raise ValueError(f"layer '{layer['kind']}' is not one of {', '.join(_KINDS)}")
    arguments = {name: value for name, value in layer.items() if name != "kind"}
    return _KINDS[layer["kind"]](**arguments)


def _apply(layers: nn.ModuleList, volume: Tensor, feature: Tensor | None) -> Tensor:
    for layer in layers:
        volume = layer(volume, feature) if isinstance(layer, FeatureGate) else layer(volume)
    return volume


def _conv(
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    transposed: bool,
    norm: bool,
    activation: bool,
) -> ConvNorm:
    conv: nn.Module
    if transposed:  # to exactly ``stride`` times the size
        padding = (kernel - stride + 1) // 2
        conv = nn.ConvTranspose3d(
            inputs,
            outputs,
            kernel,
            stride,
            padding,
            output_padding=stride + 2 * padding - kernel,
            bias=False,
        )
    else:
        conv = nn.Conv3d(inputs, outputs, kernel, stride, _padding(kernel, stride), bias=False)
    return ConvNorm(conv, nn.BatchNorm3d(outputs) if norm else None, activation)


def _conv_with_bias(inputs: int, outputs: int, kernel: int, stride: int, groups: int) -> nn.Conv3d:
    padding = _padding(kernel, stride)
    return nn.Conv3d(inputs, outputs, kernel, stride, padding, groups=groups)


def _padding(kernel: int, stride: int) -> int:
    return 0 if stride == kernel else kernel // 2  # patches do not overlap, so none


def _sequence(layers: Sequence[Layer]) -> nn.Sequential:
    return nn.Sequential(*(build(layer) for layer in layers))


def _upsample(scale: int) -> nn.Upsample:
    return nn.Upsample(scale_factor=scale, mode="trilinear", align_corners=False)


_KINDS: dict[str, Callable[..., nn.Module]] = {
    "conv": _conv,
    "biased": _conv_with_bias,
    "axial": AxialPlanar,
    "residual": Residual3d,
    "gate": FeatureGate,
    "transformer": partial(DisparityTransformer, axis="heads"),
    "norm": lambda width: nn.BatchNorm3d(width),
    "upsample": _upsample,
    "sequence": _sequence,
}
