"""ONNX graphs for node processes, which cannot be handed a Python object."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from fakes import METADATA, save_graph
from onnx import TensorProto, helper, numpy_helper


def save_constant_graph(path: Path, width: int, height: int, disparity: float) -> Path:
    """Write a graph that answers one disparity, with confidence 1, to every pair."""
    shape = [1, height, width]
    nodes = [
        helper.make_node("Cast", ["left"], ["l"], to=TensorProto.FLOAT),
        helper.make_node("Cast", ["right"], ["r"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["l", "r"], ["sum"]),
        helper.make_node("ReduceSum", ["sum", "axis"], ["flat"], keepdims=0),
        helper.make_node("Mul", ["flat", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "value"], ["disparity"]),
        helper.make_node("Add", ["nothing", "one"], ["confidence"]),
    ]
    constants = [
        helper.make_tensor("axis", TensorProto.INT64, [1], [3]),
        helper.make_tensor("zero", TensorProto.FLOAT, [], [0.0]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
        helper.make_tensor("value", TensorProto.FLOAT, [], [disparity]),
    ]
    graph = helper.make_graph(
        nodes,
        "constant",
        [
            helper.make_tensor_value_info(n, TensorProto.UINT8, [*shape, 3])
            for n in ("left", "right")
        ],
        [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, shape)
            for n in ("disparity", "confidence")
        ],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA)
    onnx.save(model, str(path))
    return path


def save_table_graph(path: Path, width: int, height: int, entries: int) -> Path:
    """Write the graph of `save_graph` with a table of weights for the brightest right pixel.

    A table shorter than that pixel's level makes the runtime fail on the frame; a long one makes
    the engine as large as wanted.
    """
    model = onnx.load(str(save_graph(path, width, height)))
    graph = model.graph
    last = next(node for node in graph.node if "confidence" in node.output)
    last.output[0] = "plain_confidence"
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["right_float"], ["brightest"], keepdims=0),
            helper.make_node("Cast", ["brightest"], ["index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["table", "index"], ["weight"], axis=0),
            helper.make_node("Mul", ["plain_confidence", "weight"], ["confidence"]),
        ]
    )
    graph.initializer.append(numpy_helper.from_array(np.ones(entries, np.float32), "table"))
    onnx.save(model, str(path))
    return path
