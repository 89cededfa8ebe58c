"""A graph for any size becomes the static graph of one, without the onnx package."""

import numpy as np
import onnx
import pytest
from numpy.testing import assert_array_equal
from onnx import TensorProto, helper, numpy_helper

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.frozen import freeze
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.graph_contract import OUTPUTS, AnySize

SIZES = AnySize((8, 12), (2, 2), 4)
METADATA = {"network": "padding", "max_disparity": "0", **SIZES.as_metadata()}
FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def constant(name, value, kind=np.int64):
    return numpy_helper.from_array(np.asarray(value, kind), name)


def symbolic_graph(element=FLOAT):
    """Pads the columns to a multiple of 4, adds each column's number to red, and crops again."""
    nodes = [
        helper.make_node("Cast", ["left"], ["image"], to=element),
        helper.make_node("Cast", ["right"], ["unused"], to=element),
        helper.make_node("Gather", ["image", "red"], ["map"], axis=3),
        helper.make_node("Shape", ["map"], ["shape"]),
        helper.make_node("Gather", ["shape", "last"], ["width"], axis=0),
        helper.make_node("Neg", ["width"], ["minus"]),
        helper.make_node("Mod", ["minus", "multiple"], ["extra"]),
        helper.make_node("Concat", ["five_zeros", "extra"], ["amounts"], axis=0),
        helper.make_node("Pad", ["map", "amounts", ""], ["padded"], mode="edge"),
        helper.make_node("Shape", ["padded"], ["padded_shape"]),
        helper.make_node("Gather", ["padded_shape", "last_one"], ["padded_width"], axis=0),
        helper.make_node("Range", ["none", "padded_width", "one"], ["columns"]),
        helper.make_node("Cast", ["columns"], ["positions"], to=element),
        helper.make_node("Add", ["padded", "positions"], ["sum"]),
        helper.make_node("Slice", ["sum", "start", "width", "last_axis"], ["cropped"]),
        *(helper.make_node("Cast", ["cropped"], [name], to=FLOAT) for name in OUTPUTS),
    ]
    constants = [
        constant("red", 0),
        constant("last", [2]),
        constant("last_one", 2),
        constant("multiple", [4]),
        constant("five_zeros", [0] * 5),
        constant("none", 0),
        constant("one", 1),
        constant("start", [0]),
        constant("last_axis", [2]),
        constant("only_to_be_dropped", [7]),
    ]
    image, map_ = (1, "H", "W", 3), (1, "H", "W")
    graph = helper.make_graph(
        nodes,
        "padding",
        [helper.make_tensor_value_info(n, TensorProto.UINT8, image) for n in ("left", "right")],
        [helper.make_tensor_value_info(name, FLOAT, map_) for name in OUTPUTS],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, METADATA)
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


@pytest.mark.parametrize("size", [(8, 12), (5, 7), (2, 30)])
def test_frozen_graph_answers_as_the_symbolic_one(tmp_path, size):
    paths = [tmp_path / "any.onnx", tmp_path / "one.onnx"]
    paths[0].write_bytes(symbolic_graph())
    paths[1].write_bytes(freeze(symbolic_graph(), *size))
    left = np.random.default_rng(0).integers(0, 200, (*size, 3), dtype=np.uint8)

    answers = [OnnxRuntimeEngine(path, size=size).infer(left, left)[0] for path in paths]

    assert_array_equal(answers[0], left[..., 0] + np.arange(size[1], dtype=np.float32))
    assert_array_equal(answers[1], answers[0])


def test_frozen_graph_is_static_and_says_so(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(freeze(symbolic_graph(), 5, 7))

    graph = read_graph(path)

    assert (graph.height, graph.width, graph.sizes) == (5, 7, None)
    assert graph.metadata == {"network": "padding", "max_disparity": "7"}


def test_only_what_depends_on_the_images_is_left():
    model = onnx.load_from_string(freeze(symbolic_graph(), 5, 7))

    onnx.checker.check_model(model, full_check=True)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds == ["Cast", "Cast", "Gather", "Pad", "Add", "Slice", "Cast", "Cast"]
    constants = {t.name: numpy_helper.to_array(t).tolist() for t in model.graph.initializer}
    assert constants == {
        "red": 0,
        "start": [0],
        "last_axis": [2],
        "amounts": [0, 0, 0, 0, 0, 1],
        "width": [7],
        "positions": [0, 1, 2, 3, 4, 5, 6, 7],
    }


def test_padding_by_nothing_is_left_out():
    model = onnx.load_from_string(freeze(symbolic_graph(), 8, 12))

    assert "Pad" not in [node.op_type for node in model.graph.node]


def test_constants_keep_half_precision():
    model = onnx.load_from_string(freeze(symbolic_graph(HALF), 5, 7))

    (positions,) = (t for t in model.graph.initializer if t.name == "positions")
    assert positions.data_type == HALF
    assert_array_equal(numpy_helper.to_array(positions), np.arange(8, dtype=np.float16))


def test_size_that_the_graph_cannot_be_of_is_named():
    model = onnx.load_from_string(symbolic_graph())
    # Five columns and no other number of them.
    model.graph.node[5].CopyFrom(helper.make_node("Reshape", ["width", "start"], ["minus"]))
    model.graph.initializer[7].CopyFrom(constant("start", [5]))

    with pytest.raises(EngineError, match="cannot be made static at 5x7 px: "):
        freeze(model.SerializeToString(), 5, 7)
