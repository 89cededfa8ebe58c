"""What the architecture search and the pruning made of the network, as a record read from a file.

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
Shapes = Mapping[str, tuple[int, ...]]
Attributes = Mapping[str, Mapping[str, Any]]

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


def biased(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> Layer:
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
        "classifier": [biased(28, 1, 3)],
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


def from_shapes(shapes: Shapes, attributes: Attributes | None = None) -> Structure:
    """Read the structure off a state dict's keys and shapes.

    Strides, activations, the number of heads and whether features are normalised are not in them:
    the released files' are assumed. Where the file holds the pickled module, ``attributes`` maps
    the path of each module in it, "" for the whole, to the attributes that it has, and these
    decide: ``stride``, ``transposed`` and ``groups`` of convolutions, ``relu`` of those with a norm
    (a bool; else ``class`` of the module of that name), ``num_heads``, ``op`` of joins,
    ``scale_factor`` or ``class`` of what has no entries, ``normalize`` of the whole.

    Raises
    ------
    KeyError
        When an entry that every checkpoint of this network has is missing.
    ValueError
        For a block of unknown layers.
    """
    reader = _Reader(shapes, attributes or {})
    context_norm = "cnet.conv04.0.conv.weight" in shapes
    head = "cnet.conv04.{}.conv" if context_norm else "cnet.conv04.{}"
    if not all(reader.activation(f"cnet.conv04.{i}", default=True) for i in range(2)):
        raise ValueError("cnet.conv04 has a norm without an activation")
    update = "update_block."
    return Structure(
        features=reader.width("feature.conv4"),
        volume=shapes["cost_agg.conv1_up.conv.weight"][1],
        normalise=reader.attribute("", "normalize", None) not in (False, 0),
        blocks=reader.blocks(),
        hidden=reader.width(head.format(0)),
        context=reader.width(head.format(1)),
        context_norm=context_norm,
        channel_gate=reader.width("cam.fc.0"),
        lookup=reader.widths(f"{update}encoder.convc1", f"{update}encoder.convc2"),
        disparity=reader.widths(f"{update}encoder.convd1", f"{update}encoder.convd2"),
        motion=reader.width(f"{update}encoder.conv"),
        motion_kernel=shapes[f"{update}encoder.conv.weight"][2],
        mixed=reader.width(f"{update}gru04.conv0.0"),
        gated=reader.width(f"{update}gru04.conv1.0"),
        head=reader.width(f"{update}disp_head.conv.0"),
        head_mlps=reader.widths(
            f"{update}disp_head.conv.2.pwconv1", f"{update}disp_head.conv.3.pwconv1"
        ),
        mask=reader.widths(f"{update}mask.0", f"{update}mask.2"),
        stem=reader.widths("stem_2.0.conv", "stem_2.1"),
        upsampling=(shapes["spx_2_gru.conv1.conv.weight"][1], reader.width("spx_2_gru.conv2.conv")),
    )


# The layer that does in a chain what the published network leaves to the slot before it.
_HALVING = {
    "cost_agg.feature_att_8.layers.0": "cost_agg.conv1",
    "cost_agg.feature_att_16.layers.0": "cost_agg.conv2",
    "cost_agg.feature_att_32.layers.0": "cost_agg.conv3",
}
_DOUBLING = ("cost_agg.post32_to_16.upsample.0", "cost_agg.post16_to_8.upsample.0")


class _Reader:
    """Layers by the entries below their path, and by their attributes where there are any."""

    def __init__(self, shapes: Shapes, attributes: Attributes) -> None:
        self.shapes = shapes
        self.attributes = attributes

    def width(self, path: str) -> int:
        return self.shapes[f"{path}.weight"][0]

    def widths(self, first: str, second: str) -> tuple[int, int]:
        return self.width(first), self.width(second)

    def attribute(self, path: str, name: str, default: Any) -> Any:
        value = self.attributes.get(path, {}).get(name, default)
        if not isinstance(value, (list, tuple)):
            return value
        if len(set(value)) != 1:
            raise ValueError(f"{path} has a {name} of {value}; it must be the same on all axes")
        return value[0]

    def activation(self, path: str, default: bool) -> bool:
        if f"{path}.relu" in self.attributes:
            return self.attribute(f"{path}.relu", "class", "") != "Identity"
        return bool(self.attribute(path, "relu", default))

    def has(self, path: str) -> bool:
        return any(key.startswith(f"{path}.") for key in self.shapes)

    def blocks(self) -> dict[str, Any]:
        chains = {
            slot: self.layers(f"{slot}.layers") if self.has(slot) else []
            for slot in CHAINS
            if self.has(f"{slot}.layers") or not self.has(slot)
        }
        return chains | {slot: self.join(slot) for slot in JOINS if self.has(slot)}

    def join(self, slot: str) -> dict[str, Any]:
        up, out = self.layers(f"{slot}.upsample"), self.layers(f"{slot}.out")
        patch = max((x["stride"] for x in _unnest(up) if _reduces(x)), default=1)
        if patch > 1 and up[-1]["kind"] != "upsample":
            up.append(upsample(patch))  # it has no entries, but the skip has all pixels
        raised = [width for x in _unnest(up) if (width := x.get("outputs", x.get("width")))]
        first = next(iter(_unnest(out)), {})
        summed = first.get("inputs", first.get("width")) in (None, *raised[-1:])
        operation = self.attribute(slot, "op", "sum" if summed else "concat")
        return {"join": operation, "upsample": up, "out": out}

    def layers(self, path: str) -> list[Layer]:
        below = f"{path}."
        names = {*self.shapes, *self.attributes}
        numbers = {int(n[len(below) :].partition(".")[0]) for n in names if n.startswith(below)}
        if numbers != set(range(len(numbers))):
            raise ValueError(f"{path} has layers without entries besides {sorted(numbers)}")
        return [self.layer(f"{path}.{i}") for i in sorted(numbers)]

    def layer(self, path: str) -> Layer:
        shapes = self.shapes
        if f"{path}.conv.weight" in shapes:
            return self.conv(path)
        if f"{path}.conv2.0.weight" in shapes:
            outputs, _, length, *_ = shapes[f"{path}.conv2.0.weight"]
            return axial(shapes[f"{path}.conv1.0.weight"][1], outputs, length)
        if f"{path}.bn2.weight" in shapes:
            return residual(self.width(f"{path}.bn2"))
        if f"{path}.feat_att.1.weight" in shapes:
            features = shapes[f"{path}.feat_att.0.conv.weight"][1]
            return gate(features, self.width(f"{path}.feat_att.1"))
        if f"{path}.sa.0.linear1.weight" in shapes:
            hidden, width = shapes[f"{path}.sa.0.linear1.weight"]
            layers = sum(key.startswith(path) and key.endswith("linear1.bias") for key in shapes)
            heads = self.attribute(f"{path}.sa.0.self_attn", "num_heads", 4)
            return transformer(width, layers, hidden, heads)
        if f"{path}.running_mean" in shapes:
            return {"kind": "norm", "width": self.width(path)}
        if f"{path}.weight" in shapes:
            outputs, inputs, kernel, *_ = shapes[f"{path}.weight"]
            groups = self.attribute(path, "groups", outputs if inputs == 1 else 1)
            stride = self.attribute(path, "stride", 4 if kernel == 4 else 1)
            return biased(inputs * groups, outputs, kernel, stride, groups)
        if self.has(f"{path}.0"):
            return {"kind": "sequence", "layers": self.layers(path)}
        if self.attribute(path, "class", "") == "Identity":
            return {"kind": "sequence", "layers": []}
        scale = self.attribute(path, "scale_factor", None)
        if scale is None:
            raise ValueError(f"{path} is a layer of no known kind")
        return upsample(int(scale))

    def conv(self, path: str) -> Layer:
        outputs, inputs, kernel, *_ = self.shapes[f"{path}.conv.weight"]
        transposed = self.attribute(f"{path}.conv", "transposed", path in _DOUBLING)
        if transposed:
            inputs, outputs = outputs, inputs
        patch = kernel == 4 and not transposed
        halving = path in _HALVING and not self.has(_HALVING[path])
        stride = 4 if patch else 2 if transposed or halving else 1
        stride = self.attribute(f"{path}.conv", "stride", stride)
        norm = f"{path}.bn.weight" in self.shapes
        activation = self.activation(path, default=not patch)
        return conv(inputs, outputs, kernel, stride, transposed, norm, activation)


def _reduces(layer: Layer) -> bool:
    return layer.get("stride", 1) > 1 and not layer.get("transposed", False)


def _unnest(layers: list[Layer]) -> list[Layer]:
    """Return ``layers`` with those of sequences in their place."""
    parts = (_unnest(x["layers"]) if x["kind"] == "sequence" else [x] for x in layers)
    return [layer for part in parts for layer in part]
