"""Refuse a graph that breaks the graph contract or holds what TensorRT mishandles.

The rules on operators are those of TensorRT 8.6 to 11 and of TensorRT-RTX; a graph that passes
needs no plugin. TensorRT 8.5 lacks LayerNormalization, and its parser says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.static_forms import is_symbolic, list_static_forms
from stereo_depth_ros.export.tracing import OPSET
from stereo_depth_ros.graph_contract import IMAGES, MATCHERS, OUTPUTS, PRIOR, SYMBOLS, Side

METADATA = (
    "network",
    "variant",
    "iterations",
    "max_disparity",
    "weights_sha256",
    "licence",
    "commercial",
    "precision",
    "producer",
)

_ELEMENTS: dict[type, int] = {np.uint8: TensorProto.UINT8, np.float32: TensorProto.FLOAT}

_INVALID = onnx.checker.ValidationError, onnx.shape_inference.InferenceError, EngineError

_LARGEST_FILE = 2**31 - 1  # of protobuf

_TYPES = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.INT32,
    TensorProto.INT64,
    TensorProto.BOOL,
)

_CONTROL = ("control flow cannot be captured in a CUDA graph", "unroll it, or select with Where")
_DYNAMIC = ("the shape of its output depends on the data", "keep the shape and multiply by a mask")
_ABSENT = ("TensorRT has no such operator", "compose it of standard arithmetic")
_REFUSED = {
    **dict.fromkeys(("Loop", "Scan", "If"), _CONTROL),
    **dict.fromkeys(("NonZero", "Unique", "Compress", "NonMaxSuppression"), _DYNAMIC),
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


@dataclass(frozen=True)
class Finding:
    """One reason to refuse a graph: ``where`` (node or tensor), what is wrong, what to do."""

    where: str
    problem: str
    cure: str

    def __str__(self) -> str:
        return f"{self.where}: {self.problem}; {self.cure}"


class GraphError(InputError):
    """A graph that must not be used; ``findings`` says why, one by one."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        super().__init__("the graph is refused:\n" + "\n".join(f"  {f}" for f in findings))


def check_graph(model: onnx.ModelProto) -> None:
    """Refuse ``model`` unless it keeps the contract and suits TensorRT.

    Raises
    ------
    GraphError
        With every finding.
    """
    findings = [*_file(model), *_metadata(model), *_prior(model), *_interface(model)]
    try:
        onnx.checker.check_model(model)
        forms = [_Graph(_infer(form)) for form in list_static_forms(model)]
    except _INVALID as error:
        findings.append(Finding("graph", f"is no valid ONNX: {error}", "mend the exporter"))
    except ValueError as error:
        findings.append(Finding("metadata", str(error), "write what AnySize writes"))
    else:
        findings += [finding for form in forms for finding in (*_tensors(form), *_nodes(form))]
    if findings:
        raise GraphError(list(dict.fromkeys(findings)))


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


class _Graph:
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
            self.shapes[value.name] = _shape(value)

    def value(self, name: str) -> np.ndarray:
        return numpy_helper.to_array(self.constants[name])


def _shape(value: onnx.ValueInfoProto) -> tuple[Side | None, ...]:
    dims = value.type.tensor_type.shape.dim
    return tuple(
        d.dim_value if d.HasField("dim_value") else d.dim_param if d.dim_param in SYMBOLS else None
        for d in dims
    )


def _file(model: onnx.ModelProto) -> Iterator[Finding]:
    opsets = {entry.domain or "ai.onnx": entry.version for entry in model.opset_import}
    if opsets.get("ai.onnx") != OPSET:
        yield Finding("graph", f"is of opset {opsets.get('ai.onnx')}", f"export with {OPSET}")
    for node in model.graph.node:
        if node.domain not in ("", "ai.onnx"):
            yield Finding(
                _label(node), f"is of domain {node.domain}", "use standard operators, no plugins"
            )
    for tensor in model.graph.initializer:
        if tensor.data_location == TensorProto.EXTERNAL:
            yield Finding(tensor.name, "lies in another file", "save the model as one file")
    if model.ByteSize() > _LARGEST_FILE:
        yield Finding("graph", "is larger than 2 GB", "export with mixed precision")


def _metadata(model: onnx.ModelProto) -> Iterator[Finding]:
    known = {entry.key: entry.value for entry in model.metadata_props}
    for key in METADATA:
        if not known.get(key):
            yield Finding(f"metadata '{key}'", "is missing", "give it to the exporter")
    if known.get("commercial", "true") not in ("true", "false"):
        yield Finding(
            "metadata 'commercial'", f"is '{known['commercial']}'", "write 'true' or 'false'"
        )


def _prior(model: onnx.ModelProto) -> Iterator[Finding]:
    named = {entry.key: entry.value for entry in model.metadata_props}.get("prior", "")
    if graph_contract.has_prior(_inputs(model)):
        if named not in MATCHERS:
            yield Finding(
                "metadata 'prior'", f"is '{named}'", f"write what it is made for: {MATCHERS[0]}"
            )
    elif named:
        yield Finding("metadata 'prior'", f"is '{named}'", "leave it out, the graph takes no prior")


def _inputs(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    constants = {t.name for t in model.graph.initializer}
    return {v.name: v for v in model.graph.input if v.name not in constants}


def _interface(model: onnx.ModelProto) -> Iterator[Finding]:
    inputs = _inputs(model)
    outputs = {v.name: v for v in model.graph.output}
    takes_prior = graph_contract.has_prior(inputs)
    names = IMAGES + PRIOR if takes_prior else IMAGES
    for kind, values, names_expected in (("inputs", inputs, names), ("outputs", outputs, OUTPUTS)):
        if tuple(values) != names_expected:
            yield Finding(
                kind, f"are {', '.join(values)}", f"name them {', '.join(names_expected)}"
            )
            return
    sides = ((*_shape(inputs["left"]), 0, 0, 0)[axis] or 0 for axis in (1, 2))
    height, width = SYMBOLS if is_symbolic(model) else sides
    expected = {
        **graph_contract.inputs(height, width, takes_prior),
        **graph_contract.outputs(height, width),
    }
    for value in (*inputs.values(), *outputs.values()):
        shape, number_type = expected[value.name]
        actual_type = value.type.tensor_type.elem_type
        if (actual_type, _shape(value)) != (_ELEMENTS[number_type], shape) or not all(shape):
            actual = f"{TensorProto.DataType.Name(actual_type).lower()} {_shape(value)}"
            yield Finding(value.name, f"is {actual}", f"keep to {graph_contract.WORDS}")


def _tensors(graph: _Graph) -> Iterator[Finding]:
    for name, element in graph.types.items():
        if element not in _TYPES and name not in IMAGES:
            kind = TensorProto.DataType.Name(element).lower()
            yield Finding(name, f"is {kind}", "TensorRT computes in float, half, int and bool only")
        if None in graph.shapes[name] and name not in IMAGES + PRIOR + OUTPUTS:
            yield Finding(name, f"has shape {graph.shapes[name]}", "export with static shapes")
    for name in (name for node in graph.nodes for name in node.output if name):
        if name not in graph.shapes:
            yield Finding(name, "has no shape that can be inferred", "export with static shapes")
    for name, tensor in graph.constants.items():
        is_float = tensor.data_type in (TensorProto.FLOAT, TensorProto.FLOAT16)
        if is_float and not np.isfinite(graph.value(name)).all():
            yield Finding(name, "holds infinities or NaN", "mask with -1e4 instead")


def _nodes(graph: _Graph) -> Iterator[Finding]:
    for node in graph.nodes:
        for problem, cure in _problems(node, graph):
            yield Finding(_label(node), problem, cure)


def _problems(node: onnx.NodeProto, graph: _Graph) -> Iterator[tuple[str, str]]:
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    rank = len(graph.shapes.get(node.input[0], ())) if node.input else 0
    if node.op_type in _REFUSED:
        yield _REFUSED[node.op_type]
    if node.op_type != "Cast":
        for name in set(node.input) & set(IMAGES):
            yield f"touches '{name}', which is uint8", "cast to float first"
    for position in _CONSTANT_INPUTS.get(node.op_type, ()):
        name = node.input[position] if position < len(node.input) else ""
        if name and name not in graph.constants:
            yield f"input {position} is not constant", "compute it from the size, in Python"
    match node.op_type:
        case "GridSample":
            if graph.opset >= 20:
                yield "TensorRT 10 samples the nearest at opset 20", f"export with {OPSET}"
            if rank != 4:
                yield f"TensorRT 10 samples 4-D only, this is {rank}-D", "gather, then interpolate"
        case "ScatterND" | "ScatterElements" if "reduction" in attributes:
            yield "TensorRT before 10.9 refuses a reduction", "build volumes of slices and stacks"
        case "Einsum":
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
        case "InstanceNormalization" if not 3 <= rank <= 5:
            yield f"TensorRT takes 3-D to 5-D, this is {rank}-D", "reshape around it"
        case "Resize":
            yield from _resize_problems(node, graph, attributes)
        case "TopK":
            k = node.input[1]
            if k in graph.constants and graph.value(k).item() >= 3840:
                yield "TensorRT takes k below 3840", "select in two steps"
            if attributes.get("sorted", 1) == 0:
                yield "TensorRT gives sorted values only", "export with sorted=1"
        case "LayerNormalization" | "MaxPool" if len([o for o in node.output if o]) > 1:
            yield "TensorRT gives the first output only", "do without the others"


def _resize_problems(
    node: onnx.NodeProto, graph: _Graph, attributes: dict[str, object]
) -> Iterator[tuple[str, str]]:
    mode = attributes.get("mode", b"nearest")
    most = {b"linear": 3, b"cubic": 2}.get(mode)  # type: ignore[call-overload]
    before, after = (graph.shapes.get(name, ()) for name in (node.input[0], node.output[0]))
    changed = sum(a != b for a, b in zip(before, after, strict=False))
    if most is not None and changed > most:
        yield f"resizes {changed} axes, TensorRT {most} at most", "resize in two steps"
    if attributes.get("coordinate_transformation_mode") == b"tf_crop_and_resize":
        yield "TensorRT does not crop in Resize", "slice before it"


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"
