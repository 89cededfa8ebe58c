import numpy as np
import onnx
import pytest
import torch
from fakes import save_graph
from onnx import TensorProto, helper, numpy_helper
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from stereo_depth_ros.checkpoints import CheckpointError, cost
from stereo_depth_ros.checkpoints.cost import graph_cost, network_cost


@pytest.mark.parametrize(
    ("network", "variant", "size", "parameters", "gmacs"),
    [
        ("lite_any_stereo", "las1", (384, 1248), 7_603_626, 27.7),
        ("lite_any_stereo", "las2_m", (480, 640), 10_385_044, 23.4),
        ("s2m2", "s", (480, 640), 26_501_043, 381.3),
    ],
)
def test_cost_is_the_published_one(network, variant, size, parameters, gmacs):
    known = network_cost(network, variant, *size)

    assert known.parameters == parameters
    assert known.macs / 1e9 == pytest.approx(gmacs, abs=0.06)
    assert known.nodes is None


def test_attention_is_counted_as_its_two_matrix_products():
    heads, tokens, width = 3, 50, 16
    queries = torch.ones(1, heads, tokens, width)

    with cost._plain_attention(), FlopCounterMode(display=False) as counter:
        F.scaled_dot_product_attention(queries, queries, queries)

    assert counter.get_total_flops() == 2 * 2 * heads * tokens**2 * width
    assert torch.backends.cuda.flash_sdp_enabled()
    assert torch.backends.cuda.mem_efficient_sdp_enabled()


def test_more_iterations_cost_more():
    few, many = (
        network_cost("lite_any_stereo", "las2_h", 96, 160, iterations=n).macs for n in (1, 3)
    )

    assert many > 1.5 * few


def save_counted_graph(path, batch=1):
    """A convolution in two groups, its inverse, a linear layer and a product of matrices."""

    def weight(name, *shape):
        return numpy_helper.from_array(np.ones(shape, np.float32), name)

    nodes = [
        helper.make_node("Conv", ["image", "w1"], ["half"], group=2, strides=[2, 2], pads=[1] * 4),
        helper.make_node("ConvTranspose", ["half", "w2"], ["whole"], strides=[2, 2]),
        helper.make_node("Flatten", ["whole"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w3"], ["row"]),
        helper.make_node("MatMul", ["row", "w4"], ["answer"]),
    ]
    graph = helper.make_graph(
        nodes,
        "counted",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [batch, 4, 8, 12])],
        [helper.make_tensor_value_info("answer", TensorProto.FLOAT, None)],
        [
            weight("w1", 6, 2, 3, 3),
            weight("w2", 6, 5, 2, 2),
            weight("w3", 5 * 8 * 12, 7),
            weight("w4", 7, 3),
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), str(path))
    return path


def test_cost_of_a_graph_counts_convolutions_and_products(tmp_path):
    counted = graph_cost(save_counted_graph(tmp_path / "net.onnx"))

    convolution, inverse = 4 * 6 * 6 * (2 * 9), 4 * 6 * 6 * (5 * 4)
    assert counted.macs == convolution + inverse + 480 * 7 + 7 * 3
    assert counted.parameters == 6 * 2 * 9 + 6 * 5 * 4 + 480 * 7 + 7 * 3
    assert counted.nodes == 5


def test_graph_of_no_fixed_size_is_refused(tmp_path):
    path = save_counted_graph(tmp_path / "net.onnx", batch="n")

    with pytest.raises(CheckpointError, match="static shapes"):
        graph_cost(path)


def test_graph_without_products_costs_nothing(tmp_path):
    assert graph_cost(save_graph(tmp_path / "net.onnx")).macs == 0


def test_file_that_is_no_graph_is_named(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"graph, honestly")

    with pytest.raises(CheckpointError, match=r"net\.onnx: cannot be read as an ONNX graph"):
        graph_cost(tmp_path / "net.onnx")
