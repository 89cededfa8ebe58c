"""What comes with the package for a GPU: lite in mixed precision, and what its engines must do."""

import pytest

from stereo_depth_ros.artifact import find_artifact, list_models, locate_reference
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import counterpart, read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    load_reference,
    run_self_test,
)


@pytest.fixture(scope="module")
def graph():
    return read_graph(find_artifact("lite").verify_file())


def test_graph_in_mixed_precision_lies_beside_that_of_the_card(graph):
    mixed = counterpart(graph, "mixed")

    assert mixed.path.name == "lite.mixed.onnx"
    assert mixed.identity == graph.identity
    assert {"lite", "sgbm"} <= set(list_models())
    assert not [name for name in list_models() if "." in name]


def test_card_asks_for_the_prior_that_its_graphs_take(graph):
    card = find_artifact("lite").card

    assert card.prior == "sgbm"
    for precision in ("fp32", "mixed"):
        given = counterpart(graph, precision)
        assert given.takes_prior
        assert given.metadata["prior"] == "sgbm"


@pytest.mark.parametrize("precision", ["fp32", "mixed"])
def test_reference_lies_beside_them_and_they_pass_against_it(graph, precision):
    given = counterpart(graph, precision)
    reference = load_reference(locate_reference(given.path), given)
    engine = OnnxRuntimeEngine(given.path)

    result = run_self_test(engine, reference)

    assert reference.source == "PyTorch in float32"
    assert result.failures == ()
    assert result.confident_mae < (1e-4 if precision == "fp32" else 0.01)
    assert result.confidence_mae < (1e-4 if precision == "fp32" else 0.001)
