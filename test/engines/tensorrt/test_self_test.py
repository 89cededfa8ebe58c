from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stand_ins import save

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    SelfTest,
    load_reference,
    make_reference,
    rendered_pair,
    run_self_test,
)


@pytest.fixture
def graph(tmp_path):
    return read_graph(save(tmp_path / "net.onnx"))


@pytest.fixture
def reference(graph):
    return make_reference(graph)


class Answering:
    """Answers what it is told to."""

    spec = SimpleNamespace(name="answering")

    def __init__(self, disparity, confidence=None):
        self.disparity = np.asarray(disparity, np.float32)
        self.confidence = np.ones_like(self.disparity) if confidence is None else confidence

    def infer(self, left, right):
        return self.disparity, self.confidence


def test_pair_is_a_scene_of_that_size_seen_from_two_places():
    left, right = rendered_pair(48, 64)

    assert left.shape == right.shape == (48, 64, 3)
    assert left.dtype == right.dtype == np.uint8
    assert left.std() > 20
    assert np.abs(left.astype(int) - right).mean() > 5
    assert_array_equal(left, rendered_pair(48, 64)[0])


@pytest.mark.parametrize("size", [(33, 47), (1, 640)])
def test_pair_is_rendered_at_any_size(size):
    assert rendered_pair(*size)[0].shape == (*size, 3)


def test_reference_is_the_answer_of_the_graph(graph, reference):
    engine = OnnxRuntimeEngine(graph.path)

    assert_array_equal(reference.disparity, engine.infer(reference.left, reference.right)[0])
    assert reference.disparity.std() > 5
    assert reference.source == "net.onnx (fp32) on the CPU"


def test_graph_passes_against_itself(graph, reference):
    result = run_self_test(OnnxRuntimeEngine(graph.path), reference)

    assert result == SelfTest(100.0, result.cosine, 0.0, 0.0, reference.source)
    assert result.cosine == pytest.approx(1.0)
    assert result.passed
    assert result.failures == ()


def test_graph_of_other_weights_fails(tmp_path, reference):
    other = save(tmp_path / "other.onnx", factor=0.3)

    result = run_self_test(OnnxRuntimeEngine(other), reference)

    assert result.cosine > 0.999  # proportional, so that the other gates must catch it
    assert result.mae == pytest.approx(0.2 * reference.disparity.mean(), rel=1e-3)
    assert not result.passed


def test_one_answer_that_is_no_number_fails(reference):
    for value in (np.nan, np.inf, -np.inf):
        disparity = reference.disparity.copy()
        disparity[3, 5] = value

        result = run_self_test(Answering(disparity), reference)

        assert result.finite == pytest.approx(100 * (1 - 1 / disparity.size))
        assert "are finite, not 100 %" in result.failures[0]


def test_confidence_that_is_no_number_fails(reference):
    confidence = np.ones_like(reference.disparity)
    confidence[0, 0] = np.nan

    result = run_self_test(Answering(reference.disparity, confidence), reference)

    assert result.failures == (f"{result.finite:.3f} % of the answers are finite, not 100 %",)


def test_nothing_but_nan_fails_every_gate(reference):
    result = run_self_test(Answering(np.full_like(reference.disparity, np.nan)), reference)

    assert len(result.failures) == 4


def test_zeros_fail(reference):
    result = run_self_test(Answering(np.zeros_like(reference.disparity)), reference)

    assert result.cosine == 0
    assert result.mae == pytest.approx(reference.disparity.mean(), rel=1e-5)


@pytest.mark.parametrize(("share", "passes"), [(0.025, True), (0.035, False)])
def test_gate_on_pixels_off_by_two(reference, share, passes):
    disparity = reference.disparity.copy()
    disparity.ravel()[: round(share * disparity.size)] += 3

    result = run_self_test(Answering(disparity), reference)

    assert result.bad_2 == pytest.approx(100 * share, abs=0.05)
    assert result.mae < 0.2
    assert result.passed is passes


@pytest.mark.parametrize(("shift", "passes"), [(0.45, True), (0.55, False), (-0.55, False)])
def test_gate_on_the_mean_difference(reference, shift, passes):
    result = run_self_test(Answering(reference.disparity + np.float32(shift)), reference)

    assert result.mae == pytest.approx(abs(shift), abs=1e-4)
    assert result.passed is passes


def test_gate_on_the_direction(reference):
    left_over = reference.disparity.astype(np.float64)
    few = np.zeros_like(left_over)
    few[0, :30] = 1
    away = few * np.linalg.norm(left_over) * 0.05 / np.linalg.norm(few)

    result = run_self_test(Answering(left_over + away), reference)

    assert result.bad_2 < 3
    assert result.mae < 0.5
    assert len(result.failures) == 1
    assert "cosine" in result.failures[0]


def test_answer_of_another_size_is_an_error(reference):
    with pytest.raises(EngineError, match=r"answering: answers \(4, 4\)"):
        run_self_test(Answering(np.zeros((4, 4))), reference)


def test_result_keeps_numbers_and_verdict():
    content = SelfTest(100.0, 0.9, 0.1, 0.0, "net.onnx").as_dict()

    assert content["passed"] is False
    assert content["failures"] == ["cosine 0.90000 is below 0.999"]
    assert content["mae"] == 0.1


def test_reference_is_stored_and_read_back(tmp_path, graph, reference):
    path = tmp_path / "net.reference.npz"
    reference.save(path)

    found = load_reference(path, graph)

    for name in ("left", "right", "disparity"):
        assert_array_equal(getattr(found, name), getattr(reference, name))
        assert getattr(found, name).dtype == getattr(reference, name).dtype
    assert (found.source, found.key) == (reference.source, reference.key)
    assert [p.name for p in tmp_path.iterdir() if "reference" in p.name] == [path.name]


def test_reference_serves_the_mixed_graph_of_the_same_weights(tmp_path, reference):
    path = tmp_path / "net.reference.npz"
    reference.save(path)

    assert load_reference(path, read_graph(save(tmp_path / "net.mixed.onnx"))) is not None


@pytest.mark.parametrize("change", [{"weights_sha256": "other"}, {"width": 96}])
def test_reference_of_another_graph_is_not_taken(tmp_path, reference, change):
    path = tmp_path / "net.reference.npz"
    reference.save(path)

    assert load_reference(path, read_graph(save(tmp_path / "other.onnx", **change))) is None


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 cut short", b"junk"])
def test_reference_that_cannot_be_read_is_none(tmp_path, graph, content):
    path = tmp_path / "net.reference.npz"
    if content is not None:
        path.write_bytes(content)

    assert load_reference(path, graph) is None


def test_graph_whose_answers_are_no_numbers_has_no_reference(tmp_path):
    graph = read_graph(save(tmp_path / "net.onnx", factor=np.nan))

    with pytest.raises(EngineError, match=r"not finite.*export it again"):
        make_reference(graph)
