"""Losses on several disparities, by hand."""

import pytest
import torch

from stereo_depth_ros.training.batch import UNKNOWN, Batch
from stereo_depth_ros.training.losses import regression, sequence
from stereo_depth_ros.training.losses.average import average


def full(value, batch=1):
    return torch.full((batch, 1, 4, 8), float(value))


def batch_of(truth):
    nothing = torch.zeros_like(truth)
    return Batch(nothing, nothing, nothing, nothing, truth, nothing + float("nan"))


def values(terms):
    return {name: float(term.detach()) for name, term in terms.items()}


def test_every_pair_counts_alike_however_sparse_its_truth():
    error, valid = torch.cat([full(1), full(4), full(9)]), torch.zeros(3, 1, 4, 8, dtype=bool)
    valid[0], valid[1, 0, 0, 0] = True, True

    assert float(average(error, valid)) == pytest.approx((1 + 4 + 0) / 3)


def test_steps_are_weighted_by_powers_of_nine_tenths():
    # Errors of 3, 2 and 1 px: 0.81 * 3 + 0.9 * 2 + 1 * 1.
    terms = sequence.loss([full(13), full(8), full(11)], batch_of(full(10)), 192, False)

    assert values(terms) == pytest.approx({"steps": 5.23})


@pytest.mark.parametrize(("initial", "cost"), [(10.5, 0.125), (11, 0.5), (14, 3.5), (6, 3.5)])
def test_initial_disparity_costs_its_smooth_error_and_no_step(initial, cost):
    terms = sequence.loss([full(initial), full(12), full(11)], batch_of(full(10)), 192, True)

    assert values(terms) == pytest.approx({"initial": cost, "steps": 0.9 * 2 + 1})


def test_a_pass_without_steps_costs_nothing_but_its_initial_disparity():
    terms = sequence.loss([full(11)], batch_of(full(10)), 192, True)

    assert values(terms) == pytest.approx({"initial": 0.5, "steps": 0})


@pytest.mark.parametrize("beyond", [UNKNOWN, 192.0, 200.0])
def test_pixels_without_truth_or_beyond_the_range_have_no_say(beyond):
    truth = full(10)
    truth[..., :6] = beyond
    wrong = full(11).requires_grad_()

    terms = {
        **sequence.loss([wrong, wrong], batch_of(truth), 192, True),
        **regression.loss([wrong, wrong], batch_of(truth), 192),
    }
    sum(terms.values()).backward()

    assert values(terms) == pytest.approx(
        {"initial": 0.5, "steps": 1, "upsampled": 0.5, "interpolated": 0.15}
    )
    assert not wrong.grad[..., :6].any()
    assert wrong.grad[..., 6:].all()


def test_sky_has_a_say():
    terms = sequence.loss([full(2)], batch_of(full(0)), 192, False)

    assert values(terms) == {"steps": 2.0}


def test_upsampled_disparity_counts_whole_and_the_interpolated_one_three_tenths():
    terms = regression.loss([full(14), full(10.5)], batch_of(full(10)), 192)

    assert values(terms) == pytest.approx({"upsampled": 0.125, "interpolated": 0.3 * 3.5})
