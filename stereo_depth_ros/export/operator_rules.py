"""What TensorRT mishandles, by operator: of TensorRT 8.6 to 11 and of TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from stereo_depth_ros.engines.tensorrt.graph import CONTROL_FLOW, DATA_DEPENDENT
from stereo_depth_ros.export.tracing import OPSET
from stereo_depth_ros.graph_contract import IMAGES, SYMBOLS, Side

Problem = tuple[str, str]
"""What is wrong, and its cure."""

_CONTROL = ("control flow cannot be captured in a CUDA graph", "unroll it, or select with Where")
_DYNAMIC = ("the shape of its output depends on the data", "keep the shape and multiply by a mask")
_ABSENT = ("TensorRT has no such operator", "compose it of standard arithmetic")
_REFUSED = {
    **dict.fromkeys(CONTROL_FLOW, _CONTROL),
    **dict.fromkeys(DATA_DEPENDENT, _DYNAMIC),
    **dict.fromkeys(("Det", "MaxUnpool", "MaxRoiPool", "BitShift", "DFT", "STFT"), _ABSENT),
    **dict.fromkeys(("SequenceConstruct", "SplitToSequence", "SequenceAt"), _ABSENT),
}

# Inputs, by position, that a TensorRT version wants to be constants.
_CONSTANT_INPUTS = {
    "ConstantOfShape": (0,),
    "ConvTranspose": (1, 2),
    "CumSum": (1,),
    "Expand": (1,),
    "InstanceNormalization": (1, 2),
    "Pad": (1, 2),
    "Range": (0, 1, 2),
    "ReduceSum": (1,),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unsqueeze": (1,),
}


class TypedGraph:
    """A graph's nodes, and what is known of every tensor by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        graph = model.graph
        self.opset = next(e.version for e in model.opset_import if e.domain in ("", "ai.onnx"))
        self.nodes = list(graph.node)
        self.constants = {t.name: t for t in graph.initializer}
        for node in self.nodes:
            if node.op_type == "Constant" and node.attribute[0].name == "value":
                self.constants[node.output[0]] = node.attribute[0].t
        self.types: dict[str, int] = {n: t.data_type for n, t in self.constants.items()}
        self.shapes: dict[str, tuple[Side | None, ...]] = {
            n: tuple(t.dims) for n, t in self.constants.items()
        }
        for value in (*graph.input, *graph.value_info, *graph.output):
            self.types[value.name] = value.type.tensor_type.elem_type
            self.shapes[value.name] = shape_of(value)

    def value(self, name: str) -> np.ndarray:
        """Return a constant."""
        return numpy_helper.to_array(self.constants[name])


def shape_of(value: onnx.ValueInfoProto) -> tuple[Side | None, ...]:
    """Return its sides, None where one is neither a number nor a symbol of the contract."""
    dims = value.type.tensor_type.shape.dim
    return tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param if d.dim_param in SYMBOLS else None
        for d in dims
    )


def find_problems(node: onnx.NodeProto, graph: TypedGraph) -> Iterator[Problem]:
    """Yield what is wrong with ``node``."""
    if node.op_type in _REFUSED:
        yield _REFUSED[node.op_type]
    if node.op_type != "Cast":
        for name in set(node.input) & set(IMAGES):
            yield f"touches '{name}', which is uint8", "cast to float first"
    for position in _CONSTANT_INPUTS.get(node.op_type, ()):
        name = node.input[position] if position < len(node.input) else ""
        if name and name not in graph.constants:
            yield f"input {position} is not constant", "compute it from the size, in Python"
    if check := _CHECKS.get(node.op_type):
        attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        yield from check(node, graph, attributes)


def _rank(node: onnx.NodeProto, graph: TypedGraph) -> int:
    return len(graph.shapes.get(node.input[0], ())) if node.input else 0


def _check_grid_sample(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    rank = _rank(node, graph)
    if graph.opset >= 20:
        yield "TensorRT 10 samples the nearest at opset 20", f"export with {OPSET}"
    if rank != 4:
        yield f"TensorRT 10 samples 4-D only, this is {rank}-D", "gather, then interpolate"


def _check_scatter(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    if "reduction" in attributes:
        yield "TensorRT before 10.9 refuses a reduction", "build volumes of slices and stacks"


def _check_einsum(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    equation = attributes["equation"].decode().replace(" ", "")
    terms = equation.split("->")[0].split(",")
    sizes: dict[str, set[Side | None]] = {}
    for term, name in zip(terms, node.input, strict=True):
        for letter, side in zip(term, graph.shapes.get(name, ()), strict=False):
            sizes.setdefault(letter, set()).add(side)
    if (
        "." in equation
        or any(len(set(term)) < len(term) for term in terms)
        or any(len(known) > 1 for known in sizes.values())
    ):
        yield f"TensorRT before 10.12 refuses '{equation}'", "write it as MatMul"


def _check_instance_normalization(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    rank = _rank(node, graph)
    if not 3 <= rank <= 5:
        yield f"TensorRT takes 3-D to 5-D, this is {rank}-D", "reshape around it"


def _check_resize(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    most = {b"linear": 3, b"cubic": 2}.get(attributes.get("mode", b"nearest"))
    before, after = (graph.shapes.get(name, ()) for name in (node.input[0], node.output[0]))
    changed = sum(a != b for a, b in zip(before, after, strict=False))
    if most is not None and changed > most:
        yield f"resizes {changed} axes, TensorRT {most} at most", "resize in two steps"
    if attributes.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        yield "TensorRT does not crop in Resize", "slice before it"


def _check_top_k(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    k = node.input[1]
    if k in graph.constants and graph.value(k).item() >= 3840:
        yield "TensorRT takes k below 3840", "select in two steps"
    if attributes.get("sorted", 1) == 0:
        yield "TensorRT gives sorted values only", "export with sorted=1"


def _check_outputs(
    node: onnx.NodeProto, graph: TypedGraph, attributes: dict[str, Any]
) -> Iterator[Problem]:
    if len([output for output in node.output if output]) > 1:
        yield "TensorRT gives the first output only", "do without the others"


_Check = Callable[[onnx.NodeProto, TypedGraph, dict[str, Any]], Iterator[Problem]]

_CHECKS: dict[str, _Check] = {
    "Einsum": _check_einsum,
    "GridSample": _check_grid_sample,
    "InstanceNormalization": _check_instance_normalization,
    "LayerNormalization": _check_outputs,
    "MaxPool": _check_outputs,
    "Resize": _check_resize,
    "ScatterElements": _check_scatter,
    "ScatterND": _check_scatter,
    "TopK": _check_top_k,
}
