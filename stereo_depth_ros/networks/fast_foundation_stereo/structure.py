"""What the architecture search and the pruning made of the network, as a record.

The search replaced blocks of the volume filtering by lists of layers and the pruning narrowed the
refinement, so that two checkpoints may have little in common. A `Structure` is what one must
know beyond the published network to rebuild such a checkpoint. ``dataclasses.asdict`` makes plain
JSON of it and ``Structure(**record)`` takes it back.

Blocks go by their slot, the name of the module that they replace:

- a slot of a chain (`CHAINS`) holds a list of layers, empty where another slot took its work over;
- a slot of a join (`JOINS`) holds ``{"join": "sum" or "concat", "upsample": layers, "out":
  layers}``; without one the published network's own join is used.

A layer is a dict of its ``kind`` and of the arguments of the module that ``blocks.build`` makes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Layer = dict[str, Any]

CHAINS = (
    "corr_stem",
    "corr_feature_att",
    "cost_agg.conv1",
    "cost_agg.feature_att_8",
    "cost_agg.conv2",
    "cost_agg.feature_att_16",
    "cost_agg.conv3",
    "cost_agg.feature_att_32",
    "classifier",
)
JOINS = ("cost_agg.post32_to_16", "cost_agg.post16_to_8", "cost_agg.post8_to_4")


@dataclass(frozen=True)
class Structure:
    """Widths and replaced blocks of one checkpoint; the defaults are the published network's.

    ``features`` are the channels at 1/4 resolution, ``volume`` those of the filtered volume and
    ``normalise`` is whether the correlated features have length 1. The others are the widths of
    the context's two heads (with a batch norm and activation where ``context_norm``) and its
    channel gate, of the motion encoder, the recurrent unit, the disparity head, the mask, the stem
    at 1/2 resolution, and the upsampling.
    """

    features: int = 224
    volume: int = 28
    normalise: bool = True
    blocks: Mapping[str, Any] = field(default_factory=dict)
    hidden: int = 128
    context: int = 128
    context_norm: bool = False
    channel_gate: int = 8
    lookup: tuple[int, int] = (256, 256)
    disparity: tuple[int, int] = (64, 64)
    motion: int = 127
    motion_kernel: int = 1
    mixed: int = 256
    gated: int = 384
    head: int = 128
    head_mlps: tuple[int, int] = (512, 512)
    mask: tuple[int, int] = (64, 32)
    stem: tuple[int, int] = (32, 32)
    upsampling: tuple[int, int] = (32, 64)

    def __post_init__(self) -> None:
        if not isinstance(self.normalise, bool):
            raise ValueError(f"normalise is {self.normalise!r}; it must be true or false")
        if unknown := sorted(set(self.blocks) - {*CHAINS, *JOINS}):
            raise ValueError(f"block '{unknown[0]}' is not one of {', '.join((*CHAINS, *JOINS))}")


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 3,
    stride: int = 1,
    transposed: bool = False,
    norm: bool = True,
    activation: bool = True,
) -> Layer:
    """Return the record of a 3-D convolution without bias."""
    return {
        "kind": "conv",
        "inputs": inputs,
        "outputs": outputs,
        "kernel": kernel,
        "stride": stride,
        "transposed": transposed,
        "norm": norm,
        "activation": activation,
    }


def conv_with_bias(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> Layer:
    """Return the record of a bare 3-D convolution with bias."""
    return {
        "kind": "biased",
        "inputs": inputs,
        "outputs": outputs,
        "kernel": kernel,
        "stride": stride,
        "groups": groups,
    }


def axial(inputs: int, outputs: int, length: int) -> Layer:
    """Return the record of a convolution within planes and one of ``length`` across them."""
    return {"kind": "axial", "inputs": inputs, "outputs": outputs, "length": length}


def residual(width: int) -> Layer:
    """Return the record of two convolutions beside the identity."""
    return {"kind": "residual", "width": width}


def gate(features: int, width: int) -> Layer:
    """Return the record of a gate by the left feature."""
    return {"kind": "gate", "features": features, "width": width}


def transformer(width: int, layers: int, hidden: int, heads: int) -> Layer:
    """Return the record of a transformer along the disparities."""
    return {
        "kind": "transformer",
        "width": width,
        "layers": layers,
        "hidden": hidden,
        "heads": heads,
    }


def upsample(scale: int) -> Layer:
    """Return the record of a trilinear upsampling."""
    return {"kind": "upsample", "scale": scale}


RELEASED = Structure(
    blocks={
        "corr_stem": [],
        "corr_feature_att": [conv(32, 28), conv(28, 28), gate(224, 28)],
        "cost_agg.conv1": [],
        "cost_agg.feature_att_8": [conv(28, 28, stride=2), axial(28, 56, 17), gate(192, 56)],
        "cost_agg.conv2": [],
        "cost_agg.feature_att_16": [
            conv(56, 112, stride=2),
            axial(112, 56, 13),
            axial(56, 112, 3),
        ],
        "classifier": [conv_with_bias(28, 1, 3)],
        "cost_agg.post32_to_16": {
            "join": "sum",
            "upsample": [conv(168, 112, stride=2, transposed=True)],
            "out": [gate(320, 112), conv(112, 112), axial(112, 112, 9), conv(112, 112)],
        },
        "cost_agg.post16_to_8": {
            "join": "sum",
            "upsample": [conv(112, 56, 4, stride=2, transposed=True)],
            "out": [conv(56, 56), gate(192, 56), axial(56, 56, 9)],
        },
        "cost_agg.post8_to_4": {
            "join": "sum",
            "upsample": [
                conv(28, 28, 4, stride=4, activation=False),
                transformer(28, layers=1, hidden=112, heads=4),
                upsample(4),
            ],
            "out": [conv(28, 28), residual(28)],
        },
    },
    hidden=60,
    context=48,
    context_norm=True,
    lookup=(56, 96),
    disparity=(16, 12),
    motion=48,
    motion_kernel=3,
    mixed=100,
    gated=168,
    head=36,
    head_mlps=(212, 244),
    mask=(32, 16),
    stem=(12, 16),
    upsampling=(12, 24),
)
