"""The self-test tells rounding from faults, on the real graph, whose edits stand for engines."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    load_reference,
    run_self_test,
)
from stereo_depth_ros.engines.tensorrt.verdict import Outputs, Sensitivity, compare
from stereo_depth_ros.share import share_directory

GRAPH = share_directory() / "models" / "lite.onnx"


@pytest.fixture(scope="module")
def reference():
    graph = read_graph(GRAPH)
    return load_reference(locate_reference(graph.path), graph)


def try_engine(model, reference, folder):
    path = folder / "edited.onnx"
    onnx.save(model, str(path))
    engine = OnnxRuntimeEngine(path)
    try:
        return run_self_test(engine, reference)
    finally:
        engine.close()


def set_nearest(model, name):
    """Let the Resize node of this name pick a neighbour, as a parser does that errs."""
    (node,) = [n for n in model.graph.node if n.op_type == "Resize" and n.name == name]
    (mode,) = [a for a in node.attribute if a.name == "mode"]
    assert mode.s == b"linear"
    mode.s = b"nearest"


def set_zero(model, name):
    """Let the convolution of this name return 0, as a kernel does that fails."""
    (node,) = [node for node in model.graph.node if node.name == name]
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    for parameter in node.input[1:]:
        values = numpy_helper.to_array(tensors[parameter])
        tensors[parameter].CopyFrom(numpy_helper.from_array(values * 0, parameter))


def round_products(model):
    """Round both factors of convolutions and matrix products to 10 bits, as TF32 does.

    x * (2**13 + 1) - (x * (2**13 + 1) - x) leaves the leading 11 binary digits of x.
    """
    nodes, rounded = [], {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul"):
            for position, name in enumerate(node.input[:2]):
                if name not in rounded:
                    wide, rest, short = (f"{name}_{part}" for part in ("wide", "rest", "short"))
                    nodes += [
                        helper.make_node("Mul", [name, "splitter"], [wide]),
                        helper.make_node("Sub", [wide, name], [rest]),
                        helper.make_node("Sub", [wide, rest], [short]),
                    ]
                    rounded[name] = short
                node.input[position] = rounded[name]
        nodes.append(onnx.NodeProto.FromString(node.SerializeToString()))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    splitter = numpy_helper.from_array(np.float32(2**13 + 1), "splitter")
    model.graph.initializer.append(splitter)


def test_rounding_as_tf32_does_is_accepted(reference, tmp_path):
    model = onnx.load(str(GRAPH))
    round_products(model)

    result = try_engine(model, reference, tmp_path)

    assert 1e-4 < result.mae < 0.03  # so it was rounded
    assert 2e-5 < result.confidence_mae < 0.001
    assert result.confident_bad_2 < 0.1
    assert result.failures == ()


def test_confidence_of_zeros_is_refused(reference, tmp_path):
    model = onnx.load(str(GRAPH))
    (last,) = [node for node in model.graph.node if "confidence" in node.output]
    end = list(last.output).index("confidence")
    last.output[end] = "computed"
    zero = numpy_helper.from_array(np.float32(0), "nothing")
    model.graph.initializer.append(zero)
    model.graph.node.append(helper.make_node("Mul", ["computed", "nothing"], ["confidence"]))

    result = try_engine(model, reference, tmp_path)

    assert result.mae < 1e-4
    assert result.same_valid == 0
    assert len(result.failures) == 2


def test_zeroed_convolution_of_the_confidence_is_refused(reference, tmp_path):
    model = onnx.load(str(GRAPH))
    set_zero(model, "/network/confidence/confidence.1/Conv")

    result = try_engine(model, reference, tmp_path)

    assert result.mae < 1e-4
    halfway = np.abs(reference.confidence - 0.5).mean()
    assert result.confidence_mae == pytest.approx(halfway, rel=1e-3)
    assert len(result.failures) == 1


@pytest.mark.parametrize(
    "name",
    ["/network/refinement/raise_known/Conv", "/network/judgement/weigh/weigh.0/Conv"],
    ids=["of the refinement", "of the judgement"],
)
def test_zeroed_convolution_is_refused(reference, tmp_path, name):
    model = onnx.load(str(GRAPH))
    set_zero(model, name)

    result = try_engine(model, reference, tmp_path)

    assert result.mae < 0.5
    assert result.bad_2 < 3
    assert not result.passed


def try_answer(reference, disparity):
    expected = Outputs(reference.disparity, reference.confidence)
    allowed = Sensitivity(*reference.sensitivity)
    return compare(Outputs(disparity, reference.confidence), expected, allowed, reference.source)


def test_lost_edge_of_the_image_is_refused(reference):
    disparity = reference.disparity.copy()
    disparity[:, -16:] = 0

    result = try_answer(reference, disparity)

    lost = reference.disparity[:, -16:]
    assert result.mae == pytest.approx(lost.sum() / disparity.size, rel=1e-4)
    assert result.mae < 0.5
    share = reference.confidence[:, -16:] * (lost > 2)
    percent = 100 * share.sum() / reference.confidence.sum()
    assert result.confident_bad_2 == pytest.approx(percent, rel=1e-4)
    assert len(result.failures) == 1


def test_phantom_obstacle_is_refused(reference):
    disparity = reference.disparity.copy()
    block = np.s_[70:160, 20:119]
    disparity[block] += 15

    result = try_answer(reference, disparity)

    assert (result.mae, result.bad_2) == pytest.approx((0.435, 2.90), abs=0.01)
    percent = 100 * reference.confidence[block].sum() / reference.confidence.sum()
    assert result.confident_bad_2 == pytest.approx(percent, rel=1e-4)
    assert len(result.failures) == 1


SUBTLE = (
    "/network/pyramid/merge_quarter/Resize",
    "/network/aggregation/up16/Resize",
    "/network/refinement/Resize",
)


@pytest.mark.parametrize(
    "name", SUBTLE, ids=["of the features", "of the aggregation", "of the refinement"]
)
def test_nearest_instead_of_linear_is_refused(reference, tmp_path, name):
    model = onnx.load(str(GRAPH))
    set_nearest(model, name)

    result = try_engine(model, reference, tmp_path)

    assert result.mae < 0.5
    assert result.bad_2 < 3
    assert not result.passed
