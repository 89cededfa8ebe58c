"""The balance of experts, by hand."""

import math

import pytest
import torch

from stereo_depth_ros.training.losses import balance
from stereo_depth_ros.training.losses.balance import Routing


def chance(x):
    return 0.5 * (1 + math.erf(x / math.sqrt(2)))


def spread(counts):
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    return variance / (mean**2 + 1e-6)


def test_imbalance_of_two_samples_is_that_of_choices_and_of_chances():
    scores = torch.tensor([[[1.0, 0.0, -1.0]], [[0.5, 0.2, 0.0]]])
    noisy = torch.tensor([[[0.8, 0.3, -1.0]], [[0.1, 0.6, 0.4]]])

    loss = balance.loss([Routing(scores, noisy)], 0.5)

    # The first sample chose expert 0, the second expert 1; a score is held against the best of the
    # others.
    chances = [
        [chance((1.0 - 0.3) / 0.5), chance((0.0 - 0.8) / 0.5), chance((-1.0 - 0.8) / 0.5)],
        [chance((0.5 - 0.6) / 0.5), chance((0.2 - 0.4) / 0.5), chance((0.0 - 0.6) / 0.5)],
    ]
    load = [a + b for a, b in zip(*chances, strict=True)]
    assert float(loss) == pytest.approx(0.1 * (spread([1, 1, 0]) + spread(load)), rel=1e-5)


def test_experts_that_take_turns_cost_nothing_and_one_alone_the_most():
    turns = Routing(torch.zeros(1, 4, 4), 5 * torch.eye(4)[None])
    alone = Routing(torch.zeros(1, 4, 4) + 9 * torch.eye(4)[0], 9 * torch.eye(4)[[0] * 4][None])

    assert float(balance.loss([turns], 0.7)) == pytest.approx(0, abs=1e-6)
    assert float(balance.loss([alone], 0.7)) == pytest.approx(0.1 * (4 + 4), rel=1e-4)
    assert float(balance.loss([alone, turns, alone], 0.7)) == pytest.approx(1.6, rel=1e-4)


def test_loss_draws_scores_together():
    scores = torch.tensor([[[2.0, 0.0]] * 3]).requires_grad_()

    balance.loss([Routing(scores, scores.detach())], 0.7).backward()

    assert (scores.grad[..., 0] > 0).all()
    assert (scores.grad[..., 1] < 0).all()
