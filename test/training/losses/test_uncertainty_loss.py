"""The loss of WAFT-Stereo by hand."""

import math

import pytest
import torch

from stereo_depth_ros.training.batch import UNKNOWN, Batch
from stereo_depth_ros.training.losses import uncertainty

BINS = 5  # at 0, 20, 40, 60 and 80 px


def full(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, -1, 1, 1).expand(1, -1, 2, 4).clone()


def values(stages, truth):
    nothing = torch.zeros_like(truth)
    batch = Batch(nothing, nothing, nothing, nothing, truth, nothing)
    return {name: float(term) for name, term in uncertainty.loss(stages, batch, 20.0).items()}


def likelihood(error, share, scale):
    """Of a wide Laplace distribution of weight ``share``, and a narrow one."""
    wide = math.exp(-error / scale) / (2 * scale)
    return share * wide + (1 - share) * math.exp(-error) / 2


@pytest.mark.parametrize("error", [0.0, 0.5, 12.0])
@pytest.mark.parametrize(("wide", "log_scale", "scale"), [(0.0, 2.0, math.e**2), (1.5, -3.0, 1.0)])
def test_step_costs_how_unlikely_its_mixture_finds_the_truth(error, wide, log_scale, scale):
    share = math.exp(wide) / (math.exp(wide) + 1)
    mixture = full(30.0 + error), full(wide, 0.0, log_scale)

    terms = values([full(*[0.0] * BINS), mixture], full(30.0))

    assert terms["steps"] == pytest.approx(-math.log(likelihood(error, share, scale)), rel=1e-5)


def test_steps_are_weighted_by_powers_of_nine_tenths():
    def step(error):
        return full(30.0 + error), full(0.0, 0.0, 0.0)

    terms = values([full(*[0.0] * BINS), step(3.0), step(1.0)], full(30.0))

    assert terms["steps"] == pytest.approx(0.9 * (3 + math.log(2)) + 1 + math.log(2), rel=1e-6)


@pytest.mark.parametrize("truth", [40.0, 28.0, 30.0, 0.0])
def test_first_match_costs_its_distance_from_a_soft_choice_of_candidates(truth):
    logits = [0.0, 1.0, 2.0, -1.0, 0.5]

    terms = values([full(*logits)], full(truth))

    nearness = [math.exp(-abs(20 * i - truth)) for i in range(BINS)]
    label = [x / sum(nearness) for x in nearness]
    norm = sum(map(math.exp, logits))
    expected = -sum(
        x * math.log(math.exp(logit) / norm) for x, logit in zip(label, logits, strict=True)
    )
    assert terms == pytest.approx({"initial": expected, "steps": 0}, rel=1e-5)


def test_pixels_without_truth_or_beyond_the_last_candidate_have_no_say():
    truth = full(20.0)
    truth[..., 0], truth[..., 1] = UNKNOWN, 80.0
    logits, disparity = full(*[0.0] * BINS), full(20.0)
    logits[:, 1, :, 2:], disparity[..., :2] = 30.0, 999.0

    terms = values([logits, (disparity, full(0.0, 0.0, 0.0))], truth)

    assert terms == pytest.approx({"initial": 0, "steps": math.log(2)}, abs=1e-5)
