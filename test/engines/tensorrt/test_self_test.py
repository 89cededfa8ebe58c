from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from stand_ins import save

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    load_reference,
    make_reference,
    render_test_pair,
    run_self_test,
)
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest


@pytest.fixture
def graph(tmp_path):
    return read_graph(save(tmp_path / "net.onnx"))


@pytest.fixture
def reference(graph):
    return make_reference(graph)


class Answering:
    """Answers what it is told to."""

    spec = SimpleNamespace(name="answering")

    def __init__(self, disparity, confidence):
        self.disparity = np.asarray(disparity, np.float32)
        self.confidence = confidence

    def infer(self, left, right):
        return self.disparity, self.confidence


def test_pair_is_a_scene_of_that_size_seen_from_two_places():
    left, right = render_test_pair(48, 64)

    assert left.shape == right.shape == (48, 64, 3)
    assert left.dtype == right.dtype == np.uint8
    assert left.std() > 20
    assert np.abs(left.astype(int) - right).mean() > 5
    assert_array_equal(left, render_test_pair(48, 64)[0])


@pytest.mark.parametrize("size", [(33, 47), (1, 640)])
def test_pair_is_rendered_at_any_size(size):
    assert render_test_pair(*size)[0].shape == (*size, 3)


def test_reference_is_the_answer_of_the_graph(graph, reference):
    engine = OnnxRuntimeEngine(graph.path)

    assert_array_equal(reference.disparity, engine.infer(reference.left, reference.right)[0])
    assert_array_equal(reference.confidence, engine.infer(reference.left, reference.right)[1])
    assert reference.disparity.std() > 5
    assert reference.source == "net.onnx (fp32) on the CPU"


def test_reference_of_a_graph_that_takes_a_prior_is_without_one(tmp_path, reference):
    guided = make_reference(
        read_graph(save(tmp_path / "guided.onnx", prior=("prior", "prior_confidence")))
    )

    assert_array_equal(guided.disparity, reference.disparity)
    assert_array_equal(guided.confidence, reference.confidence)


def test_graph_passes_against_itself(graph, reference):
    result = run_self_test(OnnxRuntimeEngine(graph.path), reference)

    assert (result.finite, result.mae, result.bad_2, result.same_valid) == (100, 0, 0, 100)
    assert (result.confident_mae, result.confidence_mae) == (0, 0)
    assert result.cosine == pytest.approx(1.0)
    assert result.passed
    assert result.failures == ()


def test_graph_of_other_weights_fails(tmp_path, reference):
    other = save(tmp_path / "other.onnx", factor=0.3)

    result = run_self_test(OnnxRuntimeEngine(other), reference)

    assert result.mae == pytest.approx(0.2 * reference.disparity.mean(), rel=1e-3)
    assert not result.passed


def test_one_answer_that_is_no_number_fails(reference):
    for value in (np.nan, np.inf, -np.inf):
        disparity = reference.disparity.copy()
        disparity[3, 5] = value

        result = run_self_test(Answering(disparity, reference.confidence), reference)

        assert result.finite == pytest.approx(100 * (1 - 1 / disparity.size))
        assert "are finite and in range, not 100 %" in result.failures[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.0005, 1.0005])
def test_one_confidence_that_is_none_fails(reference, value):
    confidence = reference.confidence.copy()
    confidence[0, 0] = value

    result = run_self_test(Answering(reference.disparity, confidence), reference)

    assert result.failures == (
        f"{100 * (1 - 1 / confidence.size):.3f} % of the outputs are finite and in range, not "
        "100 %",
    )


def test_nothing_but_nan_fails(reference):
    nan = np.full_like(reference.disparity, np.nan)

    assert run_self_test(Answering(nan, nan), reference).finite == 0


def test_zeros_fail(reference):
    zeros = np.zeros_like(reference.disparity)

    result = run_self_test(Answering(zeros, reference.confidence), reference)

    assert result.mae == pytest.approx(reference.disparity.mean(), rel=1e-5)
    assert not result.passed


@pytest.fixture
def half_sure(reference):
    """A reference whose upper half is known for sure and whose lower half is a guess."""
    confidence = np.full_like(reference.disparity, 0.02)
    confidence[: len(confidence) // 2] = 0.95
    return replace(reference, confidence=confidence)


def off_by(reference, rows, share, px):
    """The disparities of ``reference`` with ``share`` of ``rows`` off by ``px``."""
    disparity = reference.disparity.copy()
    random = np.random.default_rng(0)
    disparity[rows] += np.float32(px) * (random.random(disparity[rows].shape) < share)
    return disparity


@pytest.mark.parametrize(("share", "px", "passes"), [(0.04, 20, True), (0.08, 3, False)])
def test_guesses_may_differ_in_few_pixels(half_sure, share, px, passes):
    # In the half that counts; 4 % by 20 px alone turns the direction of the whole map.
    disparity = off_by(half_sure, slice(24, None), share, px)

    result = run_self_test(Answering(disparity, half_sure.confidence), half_sure)

    assert result.bad_2 == pytest.approx(100 * share / 2, rel=0.1)
    assert result.confident_mae < 0.02
    assert result.passed is passes


def test_outliers_of_guesses_do_not_turn_the_direction(half_sure):
    disparity = off_by(half_sure, slice(24, None), 0.04, 20)
    expected = half_sure.disparity
    plain = (disparity * expected).sum() / np.linalg.norm(disparity) / np.linalg.norm(expected)

    result = run_self_test(Answering(disparity, half_sure.confidence), half_sure)

    assert plain < 0.9985
    assert result.cosine > 0.999


@pytest.mark.parametrize(("share", "passes"), [(0.04, True), (0.08, False)])
def test_what_is_known_must_agree(half_sure, share, passes):
    disparity = off_by(half_sure, slice(None, 24), share, 2)

    result = run_self_test(Answering(disparity, half_sure.confidence), half_sure)

    assert result.confident_mae == pytest.approx(2 * share * 0.95 / 0.97, rel=0.1)
    assert result.mae < 0.1
    assert result.passed is passes


@pytest.mark.parametrize(("shift", "passes"), [(0.09, True), (0.11, False), (-0.11, False)])
def test_gate_on_the_mean_difference_where_confident(reference, shift, passes):
    disparity = reference.disparity + np.float32(shift)

    result = run_self_test(Answering(disparity, reference.confidence), reference)

    assert result.confident_mae == pytest.approx(abs(shift), abs=1e-4)
    assert result.passed is passes


def test_gate_on_the_direction_holds_where_disparities_are_small(reference):
    random = np.random.default_rng(0)
    small = random.random(reference.disparity.shape, np.float32)
    guess = replace(reference, disparity=small, confidence=np.full_like(small, 0.01))

    result = run_self_test(Answering(small[:, ::-1], guess.confidence), guess)

    assert result.mae < 0.5
    assert result.cosine < 0.9
    assert "cosine" in result.failures[0]


@pytest.mark.parametrize(("change", "passes"), [(0.0015, True), (0.0025, False)])
def test_gate_on_the_confidence(half_sure, change, passes):
    confidence = half_sure.confidence + np.float32(change)

    result = run_self_test(Answering(half_sure.disparity, confidence), half_sure)

    assert result.confidence_mae == pytest.approx(change, rel=0.01)
    assert result.passed is passes


def test_network_that_trembles_at_noise_may_do_so_in_an_engine(half_sure):
    nervous = replace(half_sure, sensitivity=np.array([0.3, 0.5, 0.01]))
    answers = Answering(half_sure.disparity + np.float32(0.2), half_sure.confidence + 0.005)

    assert run_self_test(answers, nervous).passed
    assert len(run_self_test(answers, half_sure).failures) == 2


@pytest.mark.parametrize(
    ("shift", "change", "passes"), [(0.35, 0.025, True), (0.45, 0.0, False), (0.0, 0.035, False)]
)
def test_no_network_is_so_nervous_that_its_engine_may_answer_anything(
    half_sure, shift, change, passes
):
    nervous = replace(half_sure, sensitivity=np.array([5.0, 60.0, 0.5]))
    answers = Answering(half_sure.disparity + np.float32(shift), half_sure.confidence + change)

    assert run_self_test(answers, nervous).passed is passes


@pytest.mark.parametrize(
    ("share", "noise", "passes"),
    [
        (0.002, 0.0, True),
        (0.004, 0.0, False),
        (0.004, 0.5, True),
        (0.008, 0.5, False),
        (0.008, 60.0, True),
        (0.012, 60.0, False),
    ],
)
def test_gate_on_regions_where_confident(half_sure, share, noise, passes):
    """A block of ``share`` of the confident half is wrong by much."""
    sensitivity = np.array([0.3, noise, 0.01])
    disparity = half_sure.disparity.copy()
    disparity[: len(disparity) // 2].ravel()[: round(share * disparity.size / 2)] += 15

    result = run_self_test(
        Answering(disparity, half_sure.confidence), replace(half_sure, sensitivity=sensitivity)
    )

    assert result.confident_bad_2 == pytest.approx(100 * share * 0.95 / 0.97, abs=0.05)
    assert result.confident_mae < 0.03
    assert result.passed is passes


@pytest.mark.parametrize("known", ["reference", "engine"])
@pytest.mark.parametrize(("confidence", "passes"), [(3e-9, True), (0.002, False)])
def test_confidence_that_rounds_to_zero_is_no_difference(half_sure, known, confidence, passes):
    tiny, zero = half_sure.confidence.copy(), half_sure.confidence.copy()
    pixels = round(0.06 * tiny.size)
    tiny.ravel()[-pixels:], zero.ravel()[-pixels:] = confidence, 0
    expected, answered = (tiny, zero) if known == "reference" else (zero, tiny)

    result = run_self_test(
        Answering(half_sure.disparity, answered), replace(half_sure, confidence=expected)
    )

    assert result.same_valid == pytest.approx(100 if passes else 94, abs=0.05)
    assert result.passed is passes


@pytest.mark.parametrize(("share", "passes"), [(0.005, True), (0.015, False)])
def test_gate_on_what_is_known_at_all(half_sure, share, passes):
    confidence = half_sure.confidence.copy()
    confidence.ravel()[-round(share * confidence.size) :] = 0

    result = run_self_test(Answering(half_sure.disparity, confidence), half_sure)

    assert result.same_valid == pytest.approx(100 * (1 - share), abs=0.05)
    assert result.confidence_mae < 0.001
    assert result.passed is passes


def test_answer_of_another_size_is_an_error(reference):
    with pytest.raises(EngineError, match=r"answering: returns \(4, 4\)"):
        run_self_test(Answering(np.zeros((4, 4)), np.zeros((4, 4))), reference)


RESULT = SelfTest(100.0, 0.9, 0.05, 0.0, 0.01, 0.1, 0.0, 0.3, 0.0, 0.002, 100.0, "net.onnx")


def test_result_keeps_numbers_and_verdict():
    content = RESULT.as_dict()

    assert content["passed"] is False
    assert content["failures"] == ["cosine 0.90000 is below 0.999"]
    assert content["mae"] == 0.05
    assert SelfTest.from_dict(content) == RESULT


@pytest.mark.parametrize("stored", [None, {}, {"finite": 100.0, "mae": 0.0, "reference": "old"}])
def test_result_by_other_gates_is_none(stored):
    assert SelfTest.from_dict(stored) is None


def test_reference_is_stored_and_read_back(tmp_path, graph, reference):
    path = tmp_path / "net.reference.npz"
    reference.save(path)

    found = load_reference(path, graph)

    for name in ("left", "right", "disparity", "confidence", "sensitivity"):
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


def test_reference_of_an_older_release_is_none(tmp_path, graph, reference):
    path = tmp_path / "net.reference.npz"
    kept = {name: getattr(reference, name) for name in ("left", "right", "disparity")}
    np.savez(path, **kept, source=reference.source, key=reference.key)

    assert load_reference(path, graph) is None


@pytest.mark.parametrize("name", ["disparity", "confidence", "sensitivity"])
@pytest.mark.parametrize("value", [np.nan, np.inf, "text"])
def test_reference_that_is_no_number_is_none(tmp_path, graph, reference, name, value):
    path = tmp_path / "net.reference.npz"
    values = getattr(reference, name).astype(np.asarray(value).dtype)
    values.flat[1] = value
    replace(reference, **{name: values}).save(path)

    assert load_reference(path, graph) is None


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
