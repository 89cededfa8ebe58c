"""Rewrite a float32 graph in float16, with float32 where half precision breaks.

Every tensor says its type, as TensorRT's strongly typed networks (10 and later) want it. A value
becomes half where it enters a layer with weights, and single again where it enters an operator
that sums, exponentiates or looks up; every other operator is single if any of its inputs is, save
one that only moves values to where they become half. So a disparity and all that is computed from
it is never stored in half precision, except as what a convolution sees of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from math import prod

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from stereo_depth_ros.export.static_forms import list_static_forms

# With a constant operand these are layers with weights; without, correlation or attention.
_PRODUCTS = ("MatMul", "Gemm", "Conv", "ConvTranspose")

# Long sums, what overflows or loses its digits in half, and positions in an image.
_SINGLE = {
    *("Softmax", "LogSoftmax", "Softplus", "Exp", "Log", "Pow", "Sqrt", "Reciprocal"),
    *("ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSumExp"),
    *("ReduceProd", "GlobalAveragePool", "CumSum", "Einsum", "LpNormalization"),
    *("GridSample", "Floor", "Ceil", "Round", "Mod", "Sin", "Cos", "Cast"),
}

# Their statistics are sums, their result is of the order of one.
_NORMS = {"InstanceNormalization", "LayerNormalization", "BatchNormalization"}

# They compute nothing, so that their results are the same before a cast and after it.
_MOVES = {
    *("Concat", "Split", "Slice", "Gather", "GatherElements", "Expand", "Tile", "Pad"),
    *("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose", "DepthToSpace", "SpaceToDepth"),
}

_MAX_CASTS = 8

_NAMES: dict[int, str] = {TensorProto.FLOAT: "single", TensorProto.FLOAT16: "half"}
_HALF_MAX, _HALF_TINY = 65504.0, 2.0**-14


def to_mixed(model: onnx.ModelProto, single_parts: Sequence[str] = ()) -> onnx.ModelProto:
    """Return the float32 graph ``model`` in mixed precision; inputs and outputs keep their types.

    ``single_parts`` are names of the network's submodules that stay float32 as a whole.
    """
    return _Writer(_Plan(model, single_parts)).model()


class _Plan:
    """Which nodes compute in float32 (``single``, by index), which tensors are stored in half."""

    def __init__(self, model: onnx.ModelProto, single_parts: Sequence[str]) -> None:
        self.source = onnx.shape_inference.infer_shapes(model, data_prop=True)
        graph = self.source.graph
        self.nodes = list(graph.node)
        self.constants = {t.name: t for t in graph.initializer}
        self._opset = next(e.version for e in model.opset_import if not e.domain)
        self._prefixes = tuple(f"/network/{part}/" for part in single_parts)
        self._outputs = {v.name for v in graph.output}
        values = (*graph.value_info, *graph.input, *graph.output)
        self._of_size = _list_of_size(self.nodes, self.constants)
        self._floats = {
            *(v.name for v in values if v.type.tensor_type.elem_type == TensorProto.FLOAT),
            *(t.name for t in graph.initializer if t.data_type == TensorProto.FLOAT),
        }
        self._readers: dict[str, list[int]] = defaultdict(list)
        for index, node in enumerate(self.nodes):
            for name in node.input:
                self._readers[name].append(index)
        self._kinds = [self._kind(node) for node in self.nodes]
        # A graph for any size is planned as what it is at its own.
        form = onnx.shape_inference.infer_shapes(list_static_forms(model)[0], data_prop=True).graph
        self._sizes = {
            v.name: prod(d.dim_value for d in v.type.tensor_type.shape.dim)
            for v in (*form.value_info, *form.input, *form.output)
        }
        self.single, self.half = self._spread(set(), set())
        preparing = self._preparing_single()
        self.single, self.half = self._spread(preparing, set())
        self.single, self.half = self._spread(preparing, self._preparing_half())

    def operands(self, node: onnx.NodeProto) -> list[str]:
        """Return the float inputs of ``node`` that may be half; the scales of Resize may not."""
        formal = onnx.defs.get_schema(node.op_type, self._opset, "").inputs
        return [
            name
            for position, name in enumerate(node.input)
            if name in self._floats
            and formal[min(position, len(formal) - 1)].type_str != "tensor(float)"
        ]

    def results(self, node: onnx.NodeProto) -> list[str]:
        """Return the float outputs of ``node``."""
        return [name for name in node.output if name in self._floats]

    def _kind(self, node: onnx.NodeProto) -> str:
        """Return what decides the precision of ``node``.

        "layer" is half and "single" is single, whatever they read; "norm" is single and hands on
        what it was given; "move" and "follow" are half where all that they read is.
        """
        constants = [self.constants[n] for n in self.operands(node) if n in self.constants]
        if node.op_type in _SINGLE or node.name.startswith(self._prefixes):
            return "single"
        if not all(_fits_half(numpy_helper.to_array(tensor)) for tensor in constants):
            return "single"
        if node.op_type in _NORMS:
            return "norm"
        if node.op_type in _PRODUCTS:
            return "layer" if constants else "single"
        return "move" if node.op_type in _MOVES else "follow"

    def _spread(self, preparing: set[int], preparing_half: set[int]) -> tuple[set[int], set[str]]:
        """Return the single nodes and the half tensors, given who is to join its readers."""
        single: set[int] = set()
        half: set[str] = set()
        fixed = self.constants.keys() | self._of_size
        for index, (node, kind) in enumerate(zip(self.nodes, self._kinds, strict=True)):
            operands = [name for name in self.operands(node) if name not in fixed]
            all_half = bool(operands) and half.issuperset(operands)
            prepares = index in preparing and kind != "move"
            follows = kind in ("move", "follow") and all_half and not prepares
            if kind == "layer" or follows or index in preparing_half:
                half.update(self.results(node))
            else:
                single.add(index)
                if kind == "norm" and all_half and not prepares:
                    half.update(self.results(node))
        return single, half - self._outputs

    def _preparing_single(self) -> set[int]:
        """Return the nodes whose results only float32 nodes read; they join these."""
        preparing: set[int] = set()
        for index in reversed(range(len(self.nodes))):
            readers = [r for name in self.results(self.nodes[index]) for r in self._readers[name]]
            if self._kinds[index] in ("move", "follow", "norm") and all(
                r in preparing or (r in self.single and self._kinds[r] != "norm") for r in readers
            ):
                preparing.add(index)
        return preparing

    def _preparing_half(self) -> set[int]:
        """Return the single moves whose results only half nodes read; they join these.

        Not those that take a part of what they read, all of which would be cast for it, nor those
        that join many pieces, each of which would need a cast of its own.
        """
        preparing: set[int] = set()
        for index in reversed(range(len(self.nodes))):
            node = self.nodes[index]
            if self._kinds[index] != "move" or index not in self.single:
                continue
            results = self.results(node)
            operands = set(self.operands(node))
            read = sum(self._sizes.get(name, 0) for name in operands)
            if (
                results
                and len(operands - self.half) <= _MAX_CASTS
                and not self._outputs.intersection(results)
                and read <= sum(self._sizes.get(name, 0) for name in results)
                and all(
                    self._reads_half(r, n, preparing) for n in results for r in self._readers[n]
                )
            ):
                preparing.add(index)
        return preparing

    def _reads_half(self, reader: int, name: str, preparing: set[int]) -> bool:
        node = self.nodes[reader]
        return (reader in preparing or reader not in self.single) and name in self.operands(node)


def _list_of_size(nodes: Sequence[onnx.NodeProto], constants: Collection[str]) -> set[str]:
    """Return the tensors that the size of the images decides, which are constants at any one."""
    of_size: set[str] = set()
    for node in nodes:
        operands = {name for name in node.input if name and name not in constants}
        if node.op_type == "Shape" or (operands and operands <= of_size):
            of_size.update(node.output)
    return of_size


def _fits_half(values: np.ndarray) -> bool:
    largest = np.abs(values).max(initial=0)
    # Only a lone constant can be an epsilon; among weights a tiny one is as good as zero.
    return largest <= _HALF_MAX and not (values.size == 1 and 0 < largest < _HALF_TINY)


class _Writer:
    """Writes the nodes anew with a cast wherever the precision changes."""

    def __init__(self, plan: _Plan) -> None:
        self._plan = plan
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}
        self._casts: set[str] = set()
        for index, node in enumerate(plan.nodes):
            self._write(node, TensorProto.FLOAT if index in plan.single else TensorProto.FLOAT16)

    def model(self) -> onnx.ModelProto:
        """Return the new graph with everything else of the old one."""
        model = self._plan.source
        graph = model.graph
        for field in (graph.node, graph.initializer, graph.value_info):
            del field[:]
        graph.node.extend(self._nodes)
        graph.initializer.extend(self._constants.values())
        return model

    def _write(self, node: onnx.NodeProto, element: int) -> None:
        operands = set(self._plan.operands(node))
        written = onnx.NodeProto()
        written.CopyFrom(node)
        for position, name in enumerate(node.input):
            written.input[position] = self._read(name, element if name in operands else None)
        self._nodes.append(written)
        for position, name in enumerate(node.output):
            if name in self._plan.results(node) and self._store(name) != element:
                written.output[position] = f"{name}_computed"
                self._cast(f"{name}_computed", name, self._store(name))

    def _read(self, name: str, element: int | None) -> str:
        """Return under which name a node reads ``name`` in type ``element``, None for its own."""
        if name in self._plan.constants:
            return self._constant(name, element)
        if element is None or self._store(name) == element:
            return name
        cast = f"{name}_as_{_NAMES[element]}"
        if cast not in self._casts:
            self._casts.add(cast)
            self._cast(name, cast, element)
        return cast

    def _constant(self, name: str, element: int | None) -> str:
        tensor = self._plan.constants[name]
        if element == TensorProto.FLOAT16:
            name = f"{name}_as_half"
            if name not in self._constants:
                values = numpy_helper.to_array(tensor).astype(np.float16)
                tensor = numpy_helper.from_array(values, name)
        self._constants.setdefault(name, tensor)
        return name

    def _store(self, name: str) -> int:
        return TensorProto.FLOAT16 if name in self._plan.half else TensorProto.FLOAT

    def _cast(self, source: str, target: str, element: int) -> None:
        node = helper.make_node("Cast", [source], [target], f"{target}/Cast", to=element)
        self._nodes.append(node)
