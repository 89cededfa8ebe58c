"""Refuse a graph that breaks the graph contract or holds what TensorRT mishandles.

The rules on operators are those of TensorRT 8.6 to 11 and of TensorRT-RTX; a graph that passes
needs no plugin. TensorRT 8.5 lacks LayerNormalization, and its parser says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.export.operator_rules import TypedGraph, find_problems, shape_of
from stereo_depth_ros.export.static_forms import is_symbolic, list_static_forms
from stereo_depth_ros.export.tracing import OPSET
from stereo_depth_ros.graph_contract import IMAGES, MATCHERS, OUTPUTS, PRIOR, SYMBOLS

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
        forms = [TypedGraph(_infer(form)) for form in list_static_forms(model)]
    except _INVALID as error:
        findings.append(Finding("graph", f"is not valid ONNX: {error}", "fix the exporter"))
    except ValueError as error:
        findings.append(Finding("metadata", str(error), "write what AnySize writes"))
    else:
        findings += [finding for form in forms for finding in (*_tensors(form), *_nodes(form))]
    if findings:
        raise GraphError(list(dict.fromkeys(findings)))


def _infer(model: onnx.ModelProto) -> onnx.ModelProto:
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


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
    sides = ((*shape_of(inputs["left"]), 0, 0, 0)[axis] or 0 for axis in (1, 2))
    height, width = SYMBOLS if is_symbolic(model) else sides
    expected = {
        **graph_contract.inputs(height, width, takes_prior),
        **graph_contract.outputs(height, width),
    }
    for value in (*inputs.values(), *outputs.values()):
        shape, number_type = expected[value.name]
        actual_type = value.type.tensor_type.elem_type
        if (actual_type, shape_of(value)) != (_ELEMENTS[number_type], shape) or not all(shape):
            actual = f"{TensorProto.DataType.Name(actual_type).lower()} {shape_of(value)}"
            yield Finding(value.name, f"is {actual}", f"keep to {graph_contract.WORDS}")


def _tensors(graph: TypedGraph) -> Iterator[Finding]:
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


def _nodes(graph: TypedGraph) -> Iterator[Finding]:
    for node in graph.nodes:
        for problem, cure in find_problems(node, graph):
            yield Finding(_label(node), problem, cure)


def _label(node: onnx.NodeProto) -> str:
    return f"{node.op_type} {node.name or node.output[0]}"
