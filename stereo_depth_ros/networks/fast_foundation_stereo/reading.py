"""Read a checkpoint's structure off its keys and shapes, and off its modules' attributes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stereo_depth_ros.networks.fast_foundation_stereo.structure import (
    CHAINS,
    JOINS,
    Layer,
    Structure,
    axial,
    conv,
    conv_with_bias,
    gate,
    residual,
    transformer,
    upsample,
)

Shapes = Mapping[str, tuple[int, ...]]
Attributes = Mapping[str, Mapping[str, Any]]


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
            return conv_with_bias(inputs * groups, outputs, kernel, stride, groups)
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
