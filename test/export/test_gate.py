"""Each rule of the gate refuses a graph that breaks this rule alone."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from stereo_depth_ros.export import GraphError, check_graph
from stereo_depth_ros.export.gate import METADATA

H, W = 8, 12
PROPERTIES = {**dict.fromkeys(METADATA, "something"), "commercial": "false"}
FLOAT, HALF, UINT8, INT64 = (
    TensorProto.FLOAT,
    TensorProto.FLOAT16,
    TensorProto.UINT8,
    TensorProto.INT64,
)


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, name=f"the_{op}", **attributes)


def constant(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def graph(
    extra=(),
    constants=(),
    inputs=("left", "right"),
    outputs=("disparity", "confidence"),
    image_type=UINT8,
    image_shape=(1, H, W, 3),
    map_type=FLOAT,
    opset=17,
    properties=PROPERTIES,
    prior=(),
    prior_type=FLOAT,
    prior_shape=(1, H, W),
):
    """The mean colour of both images as maps; ``extra`` nodes may read it as "image" (NHWC).

    Nothing reads the inputs named ``prior``.
    """
    nodes = [
        helper.make_node("Cast", [inputs[0]], ["image"], to=FLOAT),
        helper.make_node("Cast", [inputs[1]], ["other"], to=FLOAT),
        helper.make_node("ReduceMean", ["image"], ["left_mean"], axes=[3], keepdims=0),
        helper.make_node("ReduceMean", ["other"], ["right_mean"], axes=[3], keepdims=0),
        *extra,
        helper.make_node("Cast", ["left_mean"], [outputs[0]], to=map_type),
        helper.make_node("Cast", ["right_mean"], [outputs[1]], to=map_type),
    ]
    if opset >= 18:
        constants = [*constants, constant("axes", [3])]
        for mean in nodes[2:4]:
            del mean.attribute[:]
            mean.input.append("axes")
            mean.attribute.append(helper.make_attribute("keepdims", 0))
    made = helper.make_graph(
        nodes,
        "means",
        [
            *(helper.make_tensor_value_info(n, image_type, image_shape) for n in inputs),
            *(helper.make_tensor_value_info(n, prior_type, prior_shape) for n in prior),
        ],
        [helper.make_tensor_value_info(n, map_type, image_shape[:3]) for n in outputs],
        list(constants),
    )
    domains = [helper.make_opsetid("", opset), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(made, opset_imports=domains, ir_version=8)
    helper.set_model_props(model, properties)
    return model


def refusal(model):
    with pytest.raises(GraphError) as caught:
        check_graph(model)
    return caught.value


def test_graph_that_keeps_the_contract_passes():
    check_graph(graph())


GUIDED = {**PROPERTIES, "prior": "sgbm"}
BOTH = ("prior", "prior_confidence")


def guided(properties=GUIDED, prior=BOTH, **breach):
    return graph(properties=properties, prior=prior, **breach)


def test_graph_that_takes_a_prior_passes():
    check_graph(guided())


@pytest.mark.parametrize(
    ("model", "where", "problem"),
    [
        (guided(prior=BOTH[:1]), "inputs", "are left, right, prior; name them left, .*confidence"),
        (guided(prior=BOTH[1:]), "inputs", "are left, right, prior_confidence"),
        (guided(prior=BOTH[::-1]), "inputs", "are left, right, prior_confidence, prior"),
        (guided(prior=(*BOTH, "hint")), "inputs", "are .*, hint"),
        (guided(prior_type=HALF), "prior_confidence", "is float16"),
        (guided(prior_type=UINT8), "prior", r"is uint8 \(1, 8, 12\)"),
        (guided(prior_shape=(1, 1, H, W)), "prior", r"is float \(1, 1, 8, 12\)"),
        (guided(prior_shape=(1, H, W // 2)), "prior", r"is float \(1, 8, 6\)"),
        (guided(prior_shape=("N", H, W)), "prior", r"is float \(None, 8, 12\)"),
        (guided(PROPERTIES), "metadata 'prior'", "is ''; write what it is made for: sgbm"),
        (guided({**GUIDED, "prior": "magic"}), "metadata 'prior'", "is 'magic'"),
        (graph(properties=GUIDED), "metadata 'prior'", "is 'sgbm'; leave it out"),
    ],
)
def test_breach_by_a_prior_is_found(model, where, problem):
    with pytest.raises(GraphError, match=rf"  {where}: .*{problem}"):
        check_graph(model)


SIZES = {**PROPERTIES, "max_disparity": "0", "size": "8x12", "min_size": "1x1", "multiple": "4"}


def symbolic(extra=(), constants=(), properties=SIZES):
    return graph(extra, constants, image_shape=(1, "H", "W", 3), properties=properties)


def without(key):
    return {k: v for k, v in PROPERTIES.items() if k != key}


def external():
    model = graph(constants=[constant("far", np.zeros(4, np.float32))])
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL
    return model


@pytest.mark.parametrize(
    ("model", "where", "problem"),
    [
        (graph(opset=18), "graph", "is of opset 18"),
        (graph(inputs=("left", "centre")), "inputs", "are left, centre"),
        (graph(outputs=("depth", "confidence")), "outputs", "are depth, confidence"),
        (graph(image_type=FLOAT), "left", "is float "),
        (graph(image_type=INT64), "left", "is int64 "),
        (graph(image_shape=(2, H, W, 3)), "left", r"is uint8 \(2, 8, 12, 3\)"),
        (graph(image_shape=("N", H, W, 3)), "left", r"is uint8 \(None, 8, 12, 3\)"),
        (graph(image_shape=(1, "H", W, 3)), "left", r"is uint8 \(1, 'H', 12, 3\)"),
        (graph(image_shape=(1, "W", "H", 3)), "left", r"is uint8 \(1, 'W', 'H', 3\)"),
        (symbolic(properties=PROPERTIES), "metadata", "'size' is missing"),
        (symbolic(properties={**SIZES, "min_size": "8"}), "metadata", "'min_size' is '8', not"),
        (symbolic(properties={**SIZES, "multiple": "0"}), "metadata", "'multiple' is '0', not"),
        (graph(map_type=TensorProto.DOUBLE), "disparity", "is double"),
        (graph(map_type=HALF), "confidence", "is float16"),
        (graph(properties={**PROPERTIES, "commercial": "no"}), "metadata 'commercial'", "'no'"),
        (external(), "far", "another file"),
    ],
)
def test_breach_of_the_contract_is_found(model, where, problem):
    with pytest.raises(GraphError, match=rf"  {where}: .*{problem}"):
        check_graph(model)


@pytest.mark.parametrize("key", METADATA)
def test_missing_metadata_is_found(key):
    (finding,) = refusal(graph(properties=without(key))).findings

    assert key in finding.where


def test_graph_of_more_than_two_gigabytes_is_found(monkeypatch):
    monkeypatch.setattr("stereo_depth_ros.export.gate._LARGEST_FILE", 500)

    (finding,) = refusal(graph()).findings

    assert "2 GB" in finding.problem


def branch(name):
    made = helper.make_node("Identity", ["image"], [name])
    value = helper.make_tensor_value_info(name, FLOAT, (1, H, W, 3))
    return helper.make_graph([made], name, [], [value])


def body():
    step, on, off = (
        helper.make_tensor_value_info(name, kind, ())
        for name, kind in (("step", INT64), ("on", TensorProto.BOOL), ("off", TensorProto.BOOL))
    )
    before, after = (helper.make_tensor_value_info(n, FLOAT, (3,)) for n in ("before", "after"))
    keep = [
        helper.make_node("Identity", ["on"], ["off"]),
        helper.make_node("Identity", ["before"], ["after"]),
    ]
    return helper.make_graph(keep, "body", [step, on, before], [off, after])


CONSTANTS = [
    constant("yes", True),
    constant("two", np.int64(2)),
    constant("three", np.ones(3, np.float32)),
    constant("mask", [True, False, True]),
    constant("spots", [[0, 0, 0, 0]]),
    constant("update", np.ones(1, np.float32)),
    constant("squares", np.zeros((1, 2, 2, 2), np.float32)),
    constant("square", np.zeros((1, 1, 2, 2), np.float32)),
    constant("one", [1]),
    constant("volume", np.zeros((1, 2, 2, 2, 3), np.float32)),
    constant("points", np.zeros((1, 1, 1, 1, 3), np.float32)),
    constant("table", np.zeros((2, 3), np.float32)),
    constant("many", np.zeros(5000, np.float32)),
    constant("most", [4000]),
    constant("whole", np.float32([0, 0, 0, 0, 1, 1, 1, 1])),
    constant("twice", np.float32([1, 2, 2, 2])),
]
# One node, and a part of what the gate says of it.
MISHANDLED = {
    "If": (
        node("If", ["yes"], ["x"], then_branch=branch("a"), else_branch=branch("b")),
        "control flow",
    ),
    "Loop": (node("Loop", ["two", "yes", "three"], ["x"], body=body()), "control flow"),
    "NonZero": (node("NonZero", ["image"], ["x"]), "depends on the data"),
    "Unique": (node("Unique", ["image"], ["x"]), "depends on the data"),
    "Compress": (node("Compress", ["image", "mask"], ["x"], axis=3), "depends on the data"),
    "Det": (node("Det", ["squares"], ["x"]), "no such operator"),
    "uint8": (node("Transpose", ["left"], ["x"], perm=[0, 3, 1, 2]), "'left', which is uint8"),
    "double": (node("Cast", ["image"], ["x"], to=TensorProto.DOUBLE), "is double"),
    "5D_GridSample": (node("GridSample", ["volume", "points"], ["x"]), "this is 5-D"),
    "ScatterND": (
        node("ScatterND", ["image", "spots", "update"], ["x"], reduction="add"),
        "refuses a reduction",
    ),
    "ellipsis": (
        node("Einsum", ["squares", "squares"], ["x"], equation="...c,...d->...cd"),
        "refuses '...c,...d->...cd'",
    ),
    "diagonal": (
        node("Einsum", ["squares"], ["x"], equation="abii->abi"),
        "refuses 'abii->abi'",
    ),
    "broadcast": (
        node("Einsum", ["squares", "square"], ["x"], equation="abij,abjk->abik"),
        "refuses 'abij,abjk->abik'",
    ),
    "unsorted_TopK": (
        node("TopK", ["three", "one"], ["x", "y"], sorted=0),
        "sorted values only",
    ),
    "2D_InstanceNormalization": (
        node("InstanceNormalization", ["table", "three", "three"], ["x"]),
        "this is 2-D",
    ),
    "computed_scale": (
        node("InstanceNormalization", ["volume", "computed", "computed"], ["x"]),
        "input 1 is not constant",
    ),
    "computed_shape": (node("Reshape", ["image", "shape"], ["x"]), "input 1 is not constant"),
    "3D_cubic": (
        node("Resize", ["image", "", "twice"], ["x"], mode="cubic"),
        "resizes 3 axes, TensorRT 2 at most",
    ),
    "crop": (
        node(
            "Resize",
            ["image", "whole", "twice"],
            ["x"],
            coordinate_transformation_mode="tf_crop_and_resize",
        ),
        "does not crop",
    ),
    "TopK": (node("TopK", ["many", "most"], ["x", "y"]), "k below 3840"),
    "LayerNormalization": (
        node("LayerNormalization", ["image", "three"], ["x", "mean"]),
        "first output only",
    ),
}


@pytest.mark.parametrize(("bad", "problem"), MISHANDLED.values(), ids=MISHANDLED)
def test_what_tensorrt_mishandles_is_found_at_its_node(bad, problem):
    made = [
        helper.make_node("Shape", ["image"], ["shape"]),
        helper.make_node("Add", ["update", "update"], ["one_more"]),
        helper.make_node("Concat", ["one_more", "update"], ["computed"], axis=0),
    ]
    model = graph([*made, bad], CONSTANTS)
    # Valid ONNX, so that it is this rule that refuses it.
    onnx.checker.check_model(model, full_check=True)

    found = refusal(model).findings

    assert [f for f in found if problem in f.problem and f.where in (bad.output[0], label(bad))]


def label(bad):
    return f"{bad.op_type} {bad.name}"


def test_what_follows_from_the_size_alone_passes_as_constant():
    made = [
        node("Shape", ["image"], ["shape"]),
        helper.make_node("Reshape", ["image", "shape"], ["x"]),
        helper.make_node("Expand", ["three", "shape"], ["y"]),
    ]

    check_graph(symbolic(made, CONSTANTS))


def test_what_depends_on_more_than_the_size_is_found():
    made = [
        helper.make_node("ReduceMax", ["image"], ["largest"], axes=[0, 1, 2], keepdims=0),
        helper.make_node("Slice", ["largest", "one", "two_of"], ["second"]),
        helper.make_node("Cast", ["second"], ["times"], to=INT64),
        node("Tile", ["three", "times"], ["x"]),
    ]
    constants = [*CONSTANTS, constant("two_of", [2])]

    found = refusal(symbolic(made, constants)).findings

    assert "input 1 is not constant" in [f.problem for f in found if f.where == "Tile the_Tile"]


def test_fault_at_another_size_than_its_own_is_found():
    made = [helper.make_node("Add", ["left_mean", "baked"], ["x"])]
    baked = constant("baked", np.zeros((1, H, W), np.float32))

    assert "not valid ONNX" in str(refusal(symbolic(made, [baked])))


def test_infinity_is_found():
    (finding,) = refusal(graph(constants=[constant("far", np.float32([0, -np.inf]))])).findings

    assert (finding.where, finding.cure) == ("far", "mask with -1e4 instead")


def test_grid_sample_at_opset_20_is_found_for_what_tensorrt_makes_of_it():
    sample = node("GridSample", ["squares", "where"], ["x"], mode="linear")
    where = constant("where", np.zeros((1, 1, 1, 2), np.float32))

    error = refusal(graph([sample], [*CONSTANTS, where], opset=20))

    assert "samples the nearest" in str(error)


def test_plugin_is_found():
    plugin = helper.make_node("Volume", ["image"], ["x"], "the_plugin", domain="com.example")

    assert "Volume the_plugin: is of domain com.example" in str(refusal(graph([plugin])))


def test_invalid_graph_is_found():
    model = graph()
    model.graph.node[2].input[0] = "absent"

    assert "not valid ONNX" in str(refusal(model))


def test_every_finding_is_reported_with_node_and_cure():
    extra = [node("NonZero", ["image"], ["x"]), node("Det", ["squares"], ["y"])]

    error = refusal(graph(extra, CONSTANTS, properties=without("licence")))

    wheres = {finding.where for finding in error.findings}
    assert {"metadata 'licence'", "NonZero the_NonZero", "Det the_Det"} <= wheres
    assert all(finding.cure for finding in error.findings)
    assert all(str(finding) in str(error) for finding in error.findings)
