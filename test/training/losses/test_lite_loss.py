"""Every term of the loss by its value, at answers made by hand."""

import math

import pytest
import torch

from stereo_depth_ros.networks.lite import SPAN, Matches
from stereo_depth_ros.networks.lite.matching import CANDIDATES
from stereo_depth_ros.training.losses import lite as losses

HEIGHT, WIDTH = 16, 32
COARSE = (1, CANDIDATES, HEIGHT // 4, WIDTH // 4)
TERMS = {"disparity", "matched", "half", "distribution", "choice", "confidence"}


def full(value):
    return torch.full((1, 1, HEIGHT, WIDTH), float(value))


def answer(disparity, probability=None, confidence_logit=0.0, matched=None, choice=0.0):
    """A network's answer; ``probability`` by candidate, even over all where it is None.

    ``matched`` is ``disparity`` where it is not given.
    """
    logits = torch.zeros(COARSE)
    if probability is not None:
        logits = torch.full(COARSE, -1e4)
        for candidate, share in probability.items():
            logits[:, candidate] = math.log(share)
    return Matches(
        disparity=full(disparity),
        confidence_logit=full(confidence_logit),
        matched=full(disparity if matched is None else matched),
        choice=full(choice),
        half=torch.full((1, 1, HEIGHT // 2, WIDTH // 2), disparity / 2),
        logits=logits,
    )


def loss(matches, truth, prior=None):
    """The loss for a ``prior`` in px, or for one as good as the matched disparity."""
    same = matches.matched.detach()
    return losses.loss(matches, truth, same if prior is None else full(prior))


def bent(error):
    return 0.5 * math.log1p(error / 0.5)


@pytest.mark.parametrize("truth", [0.0, 8.0, 188.0])
def test_perfect_and_certain_answer_costs_nothing(truth):
    terms = loss(answer(truth, {int(truth) // 4: 1.0}, 30.0), full(truth))

    assert set(terms) == TERMS
    for term in terms.values():
        assert term.shape == ()
        assert float(term) == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("error", [0.125, -0.125, 0.5, 2.0, -9.0, 100.0])
def test_errors_count_by_their_logarithm(error):
    terms = loss(answer(20.0 + error), full(20.0))

    wrong = abs(error)
    # And a little by themselves, up to 20 px.
    expected = bent(wrong) + 0.1 * min(wrong, 20.0)
    assert float(terms["disparity"]) == pytest.approx(expected, rel=1e-5)
    assert float(terms["matched"]) == pytest.approx(0.4 * bent(wrong), rel=1e-5)
    assert float(terms["half"]) == pytest.approx(0.2 * bent(wrong), rel=1e-5)


def slope_at(error):
    """By how much the disparity term falls for each px by which the answer comes nearer."""
    matches = answer(20.0 + error)
    matches.disparity.requires_grad_()
    loss(matches, full(20.0))["disparity"].backward()
    return float(matches.disparity.grad.sum())


def test_large_errors_pull_less_and_the_hopeless_hardly():
    assert slope_at(0.01) == pytest.approx(1 / 1.02 + 0.1, rel=1e-3)
    assert slope_at(0.5) == pytest.approx(0.5 + 0.1, rel=1e-4)
    assert slope_at(4.5) == pytest.approx(0.1 + 0.1, rel=1e-4)
    assert slope_at(-4.5) == pytest.approx(-0.1 - 0.1, rel=1e-4)
    assert slope_at(49.5) == pytest.approx(0.01, rel=1e-3)


def test_matched_term_is_that_of_the_matched_disparity_alone():
    terms = loss(answer(20.0, matched=21.0), full(20.0), prior=90.0)

    assert float(terms["matched"]) == pytest.approx(0.4 * bent(1.0), rel=1e-5)
    assert float(terms["disparity"]) == 0


def test_half_term_reads_one_pixel_of_each_four():
    truth = full(150.0)
    truth[:, :, 1::2, 1::2] = 12.0

    assert float(loss(answer(12.0), truth)["half"]) == 0
    truth[:, :, 1, 1] = 13.0
    expected = 0.2 * bent(1.0) / (HEIGHT * WIDTH / 4)
    assert float(loss(answer(12.0), truth)["half"]) == pytest.approx(expected, rel=1e-5)


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


def test_distribution_of_a_block_at_an_edge_is_best_with_two_peaks():
    truth = full(12.0)
    truth[..., 2::4] = truth[..., 3::4] = 80.0  # the right half of every 4x4 pixels

    def term(shares):
        return float(loss(answer(12.0, shares), truth)["distribution"])

    assert term({3: 0.5, 20: 0.5}) == pytest.approx(math.log(2), rel=1e-5)
    for worse in ({3: 0.6, 20: 0.4}, {3: 0.4, 20: 0.6}, {3: 0.45, 20: 0.45, 11: 0.1}):
        assert term(worse) > math.log(2) + 0.01
    assert term({3: 1.0}) > 100


def test_distribution_reads_four_pixels_of_each_sixteen():
    truth = full(150.0)
    for row in (0, 2):
        for column in (1, 3):
            truth[:, :, row::4, column::4] = 12.0

    assert float(loss(answer(12.0, {3: 1.0}), truth)["distribution"]) == pytest.approx(0, abs=1e-4)


def test_distribution_of_a_smaller_range_leaves_out_what_lies_beyond():
    matches = answer(12.0, {3: 1.0})
    matches = matches._replace(logits=matches.logits[:, :16])
    truth = full(12.0)
    truth[..., ::2] = truth[..., :8] = 61.0  # the last candidate stands for 60 px

    assert float(loss(matches, truth)["distribution"]) == pytest.approx(0, abs=1e-4)


def choice_term(matched, prior, choice):
    return float(loss(answer(20.0, matched=matched, choice=choice), full(20.0), prior)["choice"])


def entropy_of(share, chance):
    return -share * math.log(chance) - (1 - share) * math.log(1 - chance)


def sigmoid(logit):
    return 1 / (1 + math.exp(-logit))


@pytest.mark.parametrize(
    ("matched", "prior", "right"),
    [(20.0, 28.0, 1), (20.0, 0.0, 1), (28.0, 20.0, -1), (11.5, 20.0, -1)],
)
def test_choice_costs_nothing_where_it_is_the_better_one_and_its_logit_where_the_worse(
    matched, prior, right
):
    assert choice_term(matched, prior, 30.0 * right) == pytest.approx(0, abs=1e-4)
    for wrong in (30.0, 5.0):
        sure = wrong + math.log1p(math.exp(-wrong))
        assert choice_term(matched, prior, -wrong * right) == pytest.approx(sure, rel=1e-4)


@pytest.mark.parametrize(
    ("matched", "prior", "logit"),
    [(20.5, 22.5, 4.0), (19.5, 22.5, 4.0), (22.0, 20.0, -4.0), (21.0, 16.5, 5.0)],
)
def test_choice_is_best_at_the_chance_that_the_errors_give(matched, prior, logit):
    # They differ by 2 px or more, so that all is at stake, and count in steps of half a px.
    deserved = sigmoid(logit)

    for off in (0.0, 1.0, -1.0, -logit):
        expected = entropy_of(deserved, sigmoid(logit + off))
        assert choice_term(matched, prior, logit + off) == pytest.approx(expected, rel=1e-4)
        if off:
            assert expected > 1.05 * entropy_of(deserved, deserved)


def test_choice_costs_the_less_the_less_the_candidates_differ():
    for matched, prior, stake in (
        (20.0, 20.5, 0.25),
        (20.5, 20.0, 0.25),
        (19.0, 22.5, 0.75),
        (20.0, 22.0, 1.0),
        (13.0, 20.0, 1.0),
    ):
        # Half the chance each costs log 2, whatever they deserve.
        assert choice_term(matched, prior, 0.0) == pytest.approx(stake * math.log(2), rel=1e-4)


def test_choice_between_equally_wrong_candidates_costs_nothing():
    # Beyond 8 px all are.
    for matched, prior in ((60.0, 90.0), (28.0, 12.0), (21.0, 19.0), (20.0, 20.0)):
        for choice in (5.0, -3.0):
            assert choice_term(matched, prior, choice) == 0
    assert choice_term(60.0, 27.0, 5.0) > 0.1


def choice_slope(matched, prior, choice):
    """How the choice term moves with the logit, all else at rest."""
    matches = answer(20.0, matched=matched, choice=choice)
    given = [matches.matched.requires_grad_(), matches.disparity.requires_grad_()]
    given.append(full(prior).requires_grad_())
    matches.choice.requires_grad_()

    losses.loss(matches, full(20.0), given[2])["choice"].backward()

    # It moves neither candidate.
    assert [x.grad for x in given] == [None] * 3
    return float(matches.choice.grad.sum())


def test_choice_learns_towards_the_better_candidate_and_moves_none():
    assert choice_slope(20.0, 28.0, -40.0) == pytest.approx(-1, rel=1e-4)
    assert choice_slope(28.0, 20.0, 40.0) == pytest.approx(1, rel=1e-4)
    assert choice_slope(21.0, 20.5, 0.0) == pytest.approx(0.25 * (0.5 - sigmoid(-1)), rel=1e-4)
    assert choice_slope(21.0, 21.5, 0.0) == pytest.approx(0.25 * (0.5 - sigmoid(1)), rel=1e-4)
    # And back, where it is surer than the errors allow.
    assert choice_slope(21.0, 21.5, 3.0) > 0.01
    assert choice_slope(28.0, 90.0, 3.0) == 0


@pytest.mark.parametrize("error", [0.1, 1.0, 3.0])
def test_confidence_is_best_at_the_exponential_of_the_error(error):
    target = math.exp(-error)

    def term(confidence):
        logit = math.log(confidence / (1 - confidence))
        return float(loss(answer(40.0 + error, None, logit), full(40.0))["confidence"])

    entropy = -target * math.log(target) - (1 - target) * math.log(1 - target)
    assert term(target) == pytest.approx(0.5 * (1 + error / 4) * entropy, rel=1e-4)
    assert term(target * 0.8) > term(target)
    assert term(1 - (1 - target) * 0.8) > term(target)


@pytest.mark.parametrize(
    ("error", "price"), [(0.0, 1), (4.0, 2), (8.0, 3), (16.0, 5), (32.0, 9), (90.0, 9)]
)
def test_being_sure_costs_the_more_the_further_off_it_is(error, price):
    term = loss(answer(40.0 + error, None, 20.0), full(40.0))["confidence"]

    # The cross entropy of a logit that large is itself, times how wrong it is.
    expected = 0.5 * price * 20.0 * (1 - math.exp(-error))
    assert float(term) == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_confidence_does_not_move_the_disparity():
    disparity = full(21.0).requires_grad_()
    logit = full(0.5).requires_grad_()
    matches = answer(0.0)._replace(disparity=disparity, confidence_logit=logit)

    loss(matches, full(20.0))["confidence"].backward()

    assert disparity.grad is None
    assert logit.grad.abs().min() > 0


@pytest.mark.parametrize("beyond", [SPAN, 250.0, 1e4])
def test_truth_that_is_unknown_or_beyond_the_range_is_left_out(beyond):
    truth = full(8.0)
    truth[..., WIDTH // 2 :] = beyond
    matches, prior = answer(9.0, {2: 1.0}, choice=2.0), full(12.0)
    expected = losses.loss(matches, full(8.0), prior)
    prior[..., WIDTH // 2 :] = 40.0
    matches.disparity[..., WIDTH // 2 :] = 500.0
    matches.matched[..., WIDTH // 2 :] = 1.0
    matches.choice[..., WIDTH // 2 :] = -9.0
    matches.half[..., WIDTH // 4 :] = 80.0
    matches.logits[..., WIDTH // 8 :] = 0.0
    matches.confidence_logit[..., WIDTH // 2 :] = -50.0

    terms = losses.loss(matches, truth, prior)

    for name, term in terms.items():
        assert float(term) == pytest.approx(float(expected[name]), abs=1e-4), name
    assert sum(map(float, terms.values())) > 1


def test_unknown_truth_gives_nothing_to_learn():
    matches = Matches(*(part.requires_grad_() for part in answer(9.0)))
    truth = full(8.0)
    truth[..., WIDTH // 2 :] = 1e4

    sum(loss(matches, truth, prior=12.0).values()).backward()

    for name, part in matches._asdict().items():
        known, unknown = part.grad.chunk(2, dim=3)
        assert known.isfinite().all(), name
        assert not unknown.any(), name


def test_nothing_within_the_range_is_no_loss_and_no_nan():
    terms = loss(answer(9.0), full(1e4))

    assert {name: float(term) for name, term in terms.items()} == dict.fromkeys(TERMS, 0.0)


def test_truth_between_the_last_candidate_and_the_range_counts_for_all_but_the_distribution():
    terms = loss(answer(180.0, {0: 1.0}), full(190.0))

    assert float(terms["disparity"]) == pytest.approx(bent(10.0) + 1.0, rel=1e-5)
    assert float(terms["matched"]) == pytest.approx(0.4 * bent(10.0), rel=1e-5)
    assert float(terms["distribution"]) == 0
