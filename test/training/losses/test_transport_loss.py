"""The loss of S²M² by hand, at views of 8x32 px: 2x8 at a quarter."""

import pytest
import torch

from stereo_depth_ros.training.batch import UNKNOWN, Batch
from stereo_depth_ros.training.losses import transport

NAN = float("nan")
SIZE = (1, 1, 8, 32)


def batch_of(truth, visible=1.0):
    truth = torch.as_tensor(truth, dtype=torch.float32).expand(SIZE).clone()
    visible = torch.as_tensor(visible, dtype=torch.float32).expand(SIZE).clone()
    nothing = torch.zeros(SIZE)
    return Batch(nothing, nothing, nothing, nothing, truth, visible)


def step(disparity, confidence=1.0, visibility=1.0):
    maps = [torch.as_tensor(x, dtype=torch.float32) for x in (disparity, confidence, visibility)]
    return torch.cat([x.expand(SIZE) for x in maps], 1)


def mass_at(disparity, mass=1.0):
    """A transport that moves every left column by ``disparity`` columns at 1/4."""
    result = torch.zeros(1, 8, 2, 8)  # (B, right, h, left)
    for left in range(disparity, 8):
        result[:, left - disparity, :, left] = mass
    return result


def values(maps, mass, batch):
    return {name: float(term) for name, term in transport.loss(maps, mass, batch).items()}


def test_perfect_answer_costs_nothing():
    seen = (torch.arange(32) >= 8).float()

    terms = values([step(8.0, 1.0, seen)] * 2, mass_at(2), batch_of(8.0, seen))

    assert terms == {"disparity": 0, "occlusion": 0, "confidence": 0, "transport": 0}


def test_steps_are_weighted_and_terms_are_means():
    # 24 of 32 columns are in the right view; the first step is not asked for the others.
    maps = [step(10.0, 0.75, 0.5), step(13.0, 0.25, 1.0)]

    terms = values(maps, mass_at(2), batch_of(8.0))

    assert terms["disparity"] == pytest.approx(0.9 * 2 + 5)
    # The first is right to within 4 px, the second is not.
    assert terms["confidence"] == pytest.approx(0.9 * 0.25 + 0.25)
    assert terms["occlusion"] == pytest.approx(0.9 * 0.5 + 8 / 32)


def test_first_match_of_what_the_right_view_does_not_show_is_not_asked_for():
    disparity = torch.where(torch.arange(32) < 8, 30.0, 8.0)

    terms = values([step(disparity), step(8.0)], mass_at(2), batch_of(8.0))
    late = values([step(8.0), step(disparity)], mass_at(2), batch_of(8.0))

    assert terms["disparity"] == 0
    assert late["disparity"] == pytest.approx(22 * 8 / 32)


def test_visibility_counts_only_where_it_is_known():
    visible = torch.full(SIZE, NAN)
    visible[..., 20:24] = 0.0

    terms = values([step(0.0, 1.0, 0.75)], mass_at(0), batch_of(0.0, visible))

    assert terms["occlusion"] == pytest.approx(0.75)
    assert terms["disparity"] == 0


@pytest.mark.parametrize(
    ("truth", "columns", "mass", "cost"),
    [
        (8.0, 2, 0.6, 0.35),
        (8.0, 1, 0.6, 0.35),  # a neighbour is as good
        (8.0, 3, 1.0, 0.0),
        (8.0, 4, 1.0, 0.95),
        (8.0, 2, 0.97, 0.0),  # within the margin
        (10.1, 4, 1.0, 0.0),  # nearer to 3 columns than to 2
    ],
)
def test_mass_away_from_the_truth_costs_what_goes_beyond_the_margin(truth, columns, mass, cost):
    # Of the left columns that both the truth and the transport leave in view.
    truth_map = torch.full(SIZE, UNKNOWN)
    truth_map[..., 16:] = truth

    terms = values([step(truth_map)], mass_at(columns, mass), batch_of(truth_map, NAN))

    assert terms["transport"] == pytest.approx(cost, abs=1e-6)


def test_mass_may_lie_at_any_of_the_truths_of_a_block():
    truth = torch.full(SIZE, UNKNOWN)
    truth[..., 28:30], truth[..., 30:] = 4.0, 20.0  # columns 6 and 2 of the right view
    half = torch.zeros(1, 8, 2, 8)
    half[:, 6, :, 7] = half[:, 2, :, 7] = 0.5

    assert values([step(truth)], half, batch_of(truth))["transport"] == 0
    half[:, 2] = 0
    assert values([step(truth)], half, batch_of(truth))["transport"] == pytest.approx(0.45)
    # What the right view does not see has no mass to be found.
    seen = torch.ones(SIZE)
    seen[..., 28:30] = 0
    terms = values([step(truth)], half, batch_of(truth, seen))
    assert terms["transport"] == pytest.approx(0.95)


def test_pixels_without_truth_have_no_say():
    truth = torch.full(SIZE, UNKNOWN)
    truth[..., ::4, ::4] = 0.0
    wrong = torch.where(truth < UNKNOWN, 0.0, 50.0)

    terms = values([step(wrong, 1.0, 0.0)], mass_at(0), batch_of(truth, NAN))

    assert terms == {"disparity": 0, "occlusion": 0, "confidence": 0, "transport": 0}
