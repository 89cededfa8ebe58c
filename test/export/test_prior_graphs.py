"""Graphs of networks that take a prior, and of those that do not."""

import numpy as np
import onnx
import pytest
from generator import stereo_pair
from onnx import TensorProto
from tiny_network import GuidedNetwork, TinyNetwork
from weights import load_filled

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    load_reference,
    run_self_test,
)
from stereo_depth_ros.export import GraphError, export_onnx, publication, publish
from stereo_depth_ros.export.agreement import measure_agreement, outputs_of

SIZE = 93, 157  # no multiple of anything
PRECISIONS = pytest.mark.parametrize("precision", ["fp32", "mixed"])


@pytest.fixture(scope="module")
def network():
    return load_filled(GuidedNetwork())


@pytest.fixture(scope="module")
def graphs(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("graphs")
    return {
        precision: export_onnx(network, *SIZE, folder / f"{precision}.onnx", precision=precision)
        for precision in ("fp32", "mixed")
    }


@pytest.fixture(scope="module")
def pair():
    return stereo_pair(*SIZE)


@pytest.fixture(scope="module")
def prior(pair):
    return find_prior(SgbmEngine(), *pair, 32)


def described(path):
    model = onnx.load(str(path))
    return {
        value.name: (
            value.type.tensor_type.elem_type,
            tuple(d.dim_value for d in value.type.tensor_type.shape.dim),
        )
        for value in model.graph.input
    }, {entry.key: entry.value for entry in model.metadata_props}


@PRECISIONS
def test_graph_takes_the_prior_in_float32_after_the_images(graphs, precision):
    inputs, metadata = described(graphs[precision])

    image, map_ = (TensorProto.UINT8, (1, *SIZE, 3)), (TensorProto.FLOAT, (1, *SIZE))
    assert list(inputs.items()) == [
        ("left", image),
        ("right", image),
        ("prior", map_),
        ("prior_confidence", map_),
    ]
    assert metadata["prior"] == "sgbm"
    assert read_graph(graphs[precision]).takes_prior


def test_mixed_graph_looks_at_the_prior_in_half(graphs):
    """Otherwise nothing would show that the inputs themselves are left in float32."""
    nodes = onnx.load(str(graphs["mixed"])).graph.node
    looks = [node for node in nodes if node.name.startswith("/network/look/look.0/Conv")]

    assert len(looks) == 1
    assert looks[0].input[1].endswith("_as_half")


def test_graph_of_a_network_without_a_prior_has_no_such_inputs(tmp_path):
    inputs, metadata = described(
        export_onnx(load_filled(TinyNetwork()), 32, 64, tmp_path / "n.onnx")
    )

    assert list(inputs) == ["left", "right"]
    assert "prior" not in metadata


def test_metadata_that_hides_the_prior_are_refused(network, tmp_path):
    with pytest.raises(GraphError, match="metadata 'prior': is ''"):
        export_onnx(network, 32, 64, tmp_path / "net.onnx", metadata={"prior": ""})


@pytest.mark.parametrize(("precision", "worst"), [("fp32", 1e-4), ("mixed", 0.1)])
def test_graph_agrees_with_pytorch_with_a_prior_and_without(
    network, graphs, pair, prior, precision, worst
):
    path = graphs[precision]

    assert measure_agreement(network, path, *pair).worst < worst
    assert measure_agreement(network, path, *pair, prior).worst < worst
    # Else the first of them would say it all.
    told, plain = outputs_of(network, *pair, prior), outputs_of(network, *pair)
    assert np.abs(told.disparity - plain.disparity).mean() > 0.5


@PRECISIONS
def test_certain_prior_passes_the_graph_bit_by_bit(graphs, pair, precision):
    engine = OnnxRuntimeEngine(graphs[precision])
    disparity = np.random.default_rng(0).random(SIZE, np.float32) * 30
    certain = np.ones(SIZE, np.float32)

    found, confidence = engine.infer_with_prior(*pair, disparity, certain)

    np.testing.assert_array_equal(found, disparity)
    np.testing.assert_array_equal(confidence, certain)


def test_published_reference_is_that_of_no_prior(network, tmp_path):
    path = tmp_path / "net.onnx"

    agreement = publish(network, 64, 96, path).agreements["fp32"]

    graph = read_graph(path)
    reference = load_reference(locate_reference(graph.path), graph)
    plain = outputs_of(network, reference.left, reference.right)
    np.testing.assert_array_equal(reference.disparity, plain.disparity)
    engine = OnnxRuntimeEngine(path)
    assert run_self_test(engine, reference).mae < 1e-4
    assert agreement.worst < 1e-3


@pytest.mark.parametrize("wrong", ["with", "without"])
def test_graph_that_disagrees_with_or_without_a_prior_is_not_kept(
    network, tmp_path, monkeypatch, wrong
):
    def changed(network, left, right, prior=()):
        outputs = outputs_of(network, left, right, prior)
        is_wrong = bool(prior) == (wrong == "with")
        return outputs._replace(disparity=outputs.disparity + np.float32(is_wrong))

    monkeypatch.setattr(publication, "outputs_of", changed)

    with pytest.raises(
        ValueError, match=r"net\.onnx: the graph disagrees with PyTorch \(median 1 "
    ):
        publish(network, 64, 96, tmp_path / "net.onnx")

    assert not list(tmp_path.iterdir())


def test_agreement_is_the_worse_of_both(network, tmp_path, monkeypatch):
    def changed(network, left, right, prior=()):
        outputs = outputs_of(network, left, right, prior)
        off = 0.06 if prior else 0.03
        return outputs._replace(disparity=outputs.disparity + np.float32(off))

    monkeypatch.setattr(publication, "outputs_of", changed)

    agreements = publish(network, 64, 96, tmp_path / "net.onnx").agreements
    assert agreements["fp32"].median == pytest.approx(0.06, abs=1e-3)
