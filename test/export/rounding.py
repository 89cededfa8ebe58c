"""What half precision does to a graph, on a machine that has none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save_rounded(path: Path, target: Path) -> Path:
    """Write the mixed graph at ``path`` in float32, each half result rounded to float16.

    ONNX Runtime computes float16 on the CPU in float32 and need not round between two nodes, as a
    GPU does.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(str(path)))
    graph = model.graph
    half = {v.name for v in graph.value_info if v.type.tensor_type.elem_type == TensorProto.FLOAT16}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            values = numpy_helper.to_array(tensor).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    nodes = []
    for node in graph.node:
        if node.op_type == "Cast" and node.attribute[0].i == TensorProto.FLOAT16:
            node.attribute[0].i = TensorProto.FLOAT
        nodes.append(node)
        for position, name in enumerate(node.output):
            if name in half:
                node.output[position] = exact = f"{name}_exact"
                nodes.append(
                    helper.make_node("Cast", [exact], [f"{name}_h"], to=TensorProto.FLOAT16)
                )
                nodes.append(helper.make_node("Cast", [f"{name}_h"], [name], to=TensorProto.FLOAT))
    rounded = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
    for field in (graph.node, graph.value_info):
        del field[:]
    graph.node.extend(rounded)
    onnx.save(model, str(target))
    return target
