import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from generator import stereo_pair
from onnx import TensorProto, helper, numpy_helper
from rounding import save_rounded
from tiny_network import TinyNetwork
from weights import load_filled

from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.export.agreement import measure_agreement
from stereo_depth_ros.export.mixed import _Plan, to_mixed

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


def mixed(nodes, constants=(), shape=(1, 4, 8, 8), names=("x",), parts=()):
    """Convert a graph of ``nodes`` from "x" to "y"; return it and the type of every tensor."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(name, FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("y", FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v, np.float32), n) for n, v in dict(constants).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    model = onnx.shape_inference.infer_shapes(to_mixed(model, parts), strict_mode=True)
    onnx.checker.check_model(model)
    graph = model.graph
    types = {v.name: v.type.tensor_type.elem_type for v in (*graph.value_info, *graph.output)}
    return model, types | {t.name: t.data_type for t in graph.initializer}


def conv(source, target, name=""):
    return helper.make_node("Conv", [source, "w"], [target], name)


W = {"w": np.ones((4, 4, 1, 1))}


def test_layers_and_what_lies_between_them_are_half():
    nodes = [
        conv("x", "a"),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["c"]),
        conv("c", "y"),
    ]

    _, types = mixed(nodes, W)

    assert types["a"] == types["b"] == types["c"] == HALF
    assert types["y"] == FLOAT


def test_weights_of_a_half_layer_are_stored_in_half():
    model, _ = mixed([conv("x", "y")], W)

    assert [t.data_type for t in model.graph.initializer] == [HALF]


@pytest.mark.parametrize("op", ["Softmax", "Exp", "Sqrt", "Floor", "ReduceMean"])
def test_sums_and_powers_are_single_and_so_is_all_that_follows_until_a_layer(op):
    nodes = [
        conv("x", "a"),
        helper.make_node(op, ["a"], ["b"]),
        helper.make_node("Relu", ["b"], ["c"]),
        helper.make_node("Add", ["a", "c"], ["d"]),
        conv("d", "e"),
        helper.make_node("Relu", ["e"], ["f"]),
        conv("f", "y"),
    ]

    _, types = mixed(nodes, W)

    assert types["a"] == types["e"] == types["f"] == HALF
    assert types["b"] == types["c"] == types["d"] == FLOAT


def test_norm_has_single_statistics_and_hands_half_on():
    nodes = [
        conv("x", "a"),
        helper.make_node("InstanceNormalization", ["a", "ones", "ones"], ["b"], "norm"),
        conv("b", "y"),
    ]

    model, types = mixed(nodes, {**W, "ones": np.ones(4)})

    norm = next(node for node in model.graph.node if node.name == "norm")
    assert {types[name] for name in (*norm.input, *norm.output)} == {FLOAT}
    assert types["b"] == HALF


def test_correlation_of_two_views_is_multiplied_and_summed_in_single():
    nodes = [
        conv("x", "a"),
        conv("x2", "b"),
        helper.make_node("Mul", ["a", "b"], ["products"]),
        helper.make_node("Reshape", ["products", "groups"], ["grouped"]),
        helper.make_node("ReduceMean", ["grouped"], ["y"], axes=[2]),
    ]
    groups = helper.make_tensor("groups", TensorProto.INT64, [5], [1, 2, 2, 8, 8])
    nodes.insert(0, helper.make_node("Constant", [], ["groups"], value=groups))

    _, types = mixed(nodes, W, names=("x", "x2"))

    assert types["a"] == types["b"] == HALF
    assert types["products"] == types["grouped"] == FLOAT


def test_product_of_two_activations_is_single():
    nodes = [conv("x", "a"), helper.make_node("MatMul", ["a", "a"], ["b"]), conv("b", "y")]

    _, types = mixed(nodes, W)

    assert types["b"] == FLOAT


# A half tensor "a", a single one "s", and a layer that reads "m" alone.
AROUND = [conv("x", "a"), helper.make_node("Exp", ["a"], ["s"])], conv("m", "y")


def ints(name, values):
    value = helper.make_tensor(name, TensorProto.INT64, [len(values)], values)
    return helper.make_node("Constant", [], [name], value=value)


def test_concat_of_single_and_half_that_layers_alone_read_is_half():
    (first, single), last = AROUND

    model, types = mixed(
        [first, single, helper.make_node("Concat", ["a", "s"], ["m"], axis=2), last], W
    )

    assert (types["s"], types["m"]) == (FLOAT, HALF)
    (concat,) = [n for n in model.graph.node if n.op_type == "Concat"]
    assert list(concat.input) == ["a", "s_as_half"]


def test_moves_one_after_the_other_to_a_layer_are_half():
    (first, single), last = AROUND
    nodes = [
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("Concat", ["t", "s"], ["m"], axis=3),
    ]

    _, types = mixed([first, single, *nodes, last], W)

    assert (types["s"], types["t"], types["m"]) == (FLOAT, HALF, HALF)


@pytest.mark.parametrize("reader", ["Exp", "InstanceNormalization"])
def test_move_that_anything_single_reads_too_stays_single(reader):
    (first, single), _ = AROUND
    nodes = [
        helper.make_node("Concat", ["a", "s"], ["m"], axis=2),
        helper.make_node(reader, ["m", "ones", "ones"][: 1 if reader == "Exp" else 3], ["r"]),
        helper.make_node("ReduceSum", ["r"], ["sum"]),
        helper.make_node("Add", ["sum", "read"], ["y"]),
    ]

    nodes = [first, single, *nodes[:3], conv("m", "read"), nodes[3]]
    _, types = mixed(nodes, {**W, "ones": np.ones(4)})

    assert types["m"] == FLOAT


def test_move_whose_result_leaves_the_graph_stays_single():
    (first, single), _ = AROUND

    _, types = mixed([first, single, helper.make_node("Concat", ["a", "s"], ["y"], axis=2)], W)

    assert types["y"] == FLOAT


def test_part_is_cast_after_it_is_taken_and_a_whole_before():
    (first, single), last = AROUND
    part = [
        *(ints(n, [v]) for n, v in (("from", 1), ("to", 3), ("axis", 2))),
        helper.make_node("Slice", ["s", "from", "to", "axis"], ["m"]),
    ]
    whole = [
        helper.make_node("Split", ["s"], ["m", "n"], axis=2),
        conv("n", "z"),
    ]

    model, types = mixed([first, single, *part, last], W)
    assert types["m"] == FLOAT
    assert [n.input[0] for n in model.graph.node if n.op_type == "Slice"] == ["s"]
    _, types = mixed([first, single, *whole, last], W)
    assert types["m"] == types["n"] == HALF


@pytest.mark.parametrize(("pieces", "expected"), [(8, HALF), (9, FLOAT)])
def test_many_pieces_are_cast_when_they_are_one(pieces, expected):
    (first, _), last = AROUND
    names = [f"s{index}" for index in range(pieces)]
    nodes = [
        *(helper.make_node("Exp", ["a"], [name]) for name in names),
        helper.make_node("Concat", names, ["m"], axis=2),
    ]

    _, types = mixed([first, *nodes, last], W)

    assert types["m"] == expected


def test_moving_halves_changes_no_digit(monkeypatch, tmp_path):
    (first, single), last = AROUND
    nodes = [
        helper.make_node("Transpose", ["s"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("Concat", ["a", "t"], ["m"], axis=3),
    ]
    random = np.random.default_rng(0)
    weights = {"w": random.normal(size=(4, 4, 1, 1))}
    x = random.normal(size=(1, 4, 8, 8)).astype(np.float32)

    def run():
        model, types = mixed([first, single, *nodes, last], weights)
        onnx.save(model, str(tmp_path / "net.onnx"))
        rounded = save_rounded(tmp_path / "net.onnx", tmp_path / "rounded.onnx")
        session = onnxruntime.InferenceSession(str(rounded))
        return types["m"], session.run(["y"], {"x": x})[0]

    kind, output = run()
    monkeypatch.setattr(_Plan, "_preparing_half", lambda plan: set())
    kind_before, output_before = run()

    assert (kind, kind_before) == (HALF, FLOAT)
    np.testing.assert_array_equal(output, output_before)


@pytest.mark.parametrize(("value", "expected"), [(1e-8, FLOAT), (-1e9, FLOAT), (0.5, HALF)])
def test_constant_that_half_cannot_hold_keeps_its_node_single(value, expected):
    nodes = [conv("x", "a"), helper.make_node("Add", ["a", "c"], ["b"]), conv("b", "y")]

    _, types = mixed(nodes, {**W, "c": value})

    assert types["b"] == expected


def test_scales_of_resize_stay_single():
    nodes = [conv("x", "a"), helper.make_node("Resize", ["a", "", "s"], ["b"]), conv("b", "y")]

    _, types = mixed(nodes, {**W, "s": [1, 1, 2, 2]})

    assert types["b"] == HALF
    assert types["s"] == FLOAT


def test_named_part_of_the_network_stays_single():
    nodes = [conv("x", "a", "/network/matching/Conv"), conv("a", "y", "/network/matching2/Conv")]

    _, types = mixed(nodes, W, parts=("matching",))
    _, without = mixed(nodes, W)

    assert (types["a"], without["a"]) == (FLOAT, HALF)


@pytest.fixture
def network():
    return load_filled(TinyNetwork())


def test_mixed_graph_agrees_with_pytorch_even_where_every_half_result_is_rounded(network, tmp_path):
    path = export_onnx(network, 94, 157, tmp_path / "net.onnx", precision="mixed")
    pair = stereo_pair(94, 157)

    rounded = measure_agreement(network, save_rounded(path, tmp_path / "rounded.onnx"), *pair)

    assert measure_agreement(network, path, *pair).median < 0.01
    # Were nothing rounded, this would not differ at all.
    assert 1e-5 < rounded.median < 0.01


def test_mixed_graph_is_half_as_large(tmp_path):
    network = TinyNetwork()
    network.features[3] = torch.nn.Conv2d(16, 16, 63, stride=2, padding=31)

    sizes = [
        export_onnx(network, 32, 64, tmp_path / "net.onnx", precision=precision).stat().st_size
        for precision in ("fp32", "mixed")
    ]

    assert sizes[1] < 0.55 * sizes[0]


def test_network_names_the_parts_that_stay_single(network, tmp_path):
    network.float32_parts = ("aggregate",)

    model = onnx.load(str(export_onnx(network, 32, 64, tmp_path / "a.onnx", precision="mixed")))

    kinds = {t.name: t.data_type for t in model.graph.initializer}
    weights = {n.name: kinds[n.input[1]] for n in model.graph.node if n.op_type == "Conv"}
    assert weights.pop("/network/features/features.0/Conv") == HALF
    assert weights["/network/aggregate/aggregate.0/Conv"] == FLOAT
