import math

import pytest
import torch

from stereo_depth_ros.networks.lite import CANDIDATES, SPAN, Matches
from stereo_depth_ros.training.losses import loss

HEIGHT, WIDTH = 16, 32
COARSE = (1, CANDIDATES, HEIGHT // 4, WIDTH // 4)


def full(value):
    return torch.full((1, 1, HEIGHT, WIDTH), float(value))


def answer(disparity, probability=None, confidence_logit=0.0):
    """A network's answer; ``probability`` by candidate, even over all where it is None."""
    logits = torch.zeros(COARSE)
    if probability is not None:
        logits = torch.full(COARSE, -1e4)
        for candidate, share in probability.items():
            logits[:, candidate] = math.log(share)
    half = torch.full((1, 1, HEIGHT // 2, WIDTH // 2), disparity / 2)
    return Matches(full(disparity), full(confidence_logit), half, logits)


@pytest.mark.parametrize("truth", [0.0, 8.0, 188.0])
def test_perfect_and_certain_answer_costs_nothing(truth):
    terms = loss(answer(truth, {int(truth) // 4: 1.0}, 30.0), full(truth))

    assert set(terms) == {"disparity", "half", "distribution", "confidence"}
    for term in terms.values():
        assert float(term) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("error", "smooth"), [(0.125, 0.03125), (-0.125, 0.03125), (2.0, 1.875), (-9.0, 8.875)]
)
def test_disparity_term_is_quadratic_at_first_and_then_linear(error, smooth):
    terms = loss(answer(20.0 + error), full(20.0))

    assert float(terms["disparity"]) == pytest.approx(0.3 * smooth)
    assert float(terms["half"]) == pytest.approx(0.3 * smooth)


@pytest.mark.parametrize(
    ("truth", "shares"),
    [(10.0, {2: 0.5, 3: 0.5}), (11.0, {2: 0.25, 3: 0.75}), (185.0, {46: 0.75, 47: 0.25})],
)
def test_distribution_is_best_where_it_is_shared_by_distance(truth, shares):
    def term(shares):
        return float(loss(answer(truth, shares), full(truth))["distribution"])

    best = term(shares)

    assert best == pytest.approx(-sum(p * math.log(p) for p in shares.values()), abs=1e-4)
    low, high = shares
    for other in (0.05, -0.05):
        assert term({low: shares[low] + other, high: shares[high] - other}) > best + 1e-3
    elsewhere = {candidate: 0.9 * p for candidate, p in shares.items()} | {20: 0.1}
    assert term(elsewhere) > best + 0.05


def test_undecided_distribution_costs_the_logarithm_of_the_candidates():
    terms = loss(answer(30.0), full(30.0))

    assert float(terms["distribution"]) == pytest.approx(math.log(CANDIDATES), rel=1e-5)


def test_distribution_reads_one_pixel_of_each_sixteen():
    truth = full(150.0)
    truth[:, :, 2::4, 2::4] = 12.0

    term = loss(answer(12.0, {3: 1.0}), truth)["distribution"]

    assert float(term) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("error", [0.1, 1.0, 3.0])
def test_confidence_is_best_at_the_exponential_of_the_error(error):
    target = math.exp(-error)

    def term(confidence):
        logit = math.log(confidence / (1 - confidence))
        return float(loss(answer(40.0 + error, None, logit), full(40.0))["confidence"])

    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    assert term(target) == pytest.approx(0.5 * entropy, rel=1e-4)
    assert term(target * 0.8) > term(target)
    assert term(1 - (1 - target) * 0.8) > term(target)


def test_confidence_does_not_move_the_disparity():
    disparity = full(21.0).requires_grad_()
    logit = full(0.5).requires_grad_()
    matches = answer(0.0)._replace(disparity=disparity, confidence_logit=logit)

    loss(matches, full(20.0))["confidence"].backward()

    assert disparity.grad is None
    assert logit.grad.abs().min() > 0


@pytest.mark.parametrize("beyond", [SPAN, 250.0])
def test_truth_beyond_the_range_is_left_out(beyond):
    truth = full(8.0)
    truth[..., WIDTH // 2 :] = beyond
    matches = answer(9.0, {2: 1.0})
    half = answer(9.0, {2: 1.0})
    matches.disparity[..., WIDTH // 2 :] = -500.0

    terms = loss(matches, truth)

    expected = loss(half, full(8.0))
    for name, term in terms.items():
        assert float(term) == pytest.approx(float(expected[name]), abs=1e-4), name


def test_nothing_within_the_range_is_no_loss_and_no_nan():
    assert [float(term) for term in loss(answer(9.0), full(300.0)).values()] == [0] * 4


def test_truth_between_the_last_candidate_and_the_range_counts_for_the_disparity_alone():
    terms = loss(answer(180.0, {0: 1.0}), full(190.0))

    assert float(terms["disparity"]) == pytest.approx(0.3 * 9.875)
    assert float(terms["distribution"]) == 0
