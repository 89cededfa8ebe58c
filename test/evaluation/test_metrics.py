from __future__ import annotations

import numpy as np
import pytest

from stereo_depth_ros.evaluation.metrics import (
    Share,
    accuracy,
    measure_missed,
    measure_near_sky,
    sparsification,
)

NAN = np.nan
TRUTH = np.array([[10.0, 10.0, 10.0, 100.0, 100.0, NAN]], np.float32)
FOUND = np.array([[10.25, 11.5, NAN, 104.0, 106.0, 50.0]], np.float32)


def test_every_metric_equals_the_one_computed_by_hand():
    # errors 0.25, 1.5, unanswered, 4, 6; the sixth pixel has no truth
    found = accuracy(FOUND, TRUTH)
    assert found.pixels == 5
    assert found.density == pytest.approx(80.0)
    assert found.epe == pytest.approx((0.25 + 1.5 + 4 + 6) / 4)
    assert found.median == pytest.approx((1.5 + 4) / 2)
    assert found.bad == {0.5: 80.0, 1.0: 80.0, 2.0: 60.0, 3.0: 60.0, 4.0: 40.0}
    # 4 px of 100 are within five percent, 6 px are not; the unanswered pixel counts
    assert found.d1 == pytest.approx(40.0)


def test_only_the_considered_pixels_count():
    found = accuracy(FOUND, TRUTH, np.array([[True, True, False, False, False, True]]))
    assert (found.pixels, found.density) == (2, 100.0)
    assert found.epe == pytest.approx(0.875)


def test_an_error_of_exactly_the_threshold_is_not_bad():
    found = accuracy(np.array([[12.0]]), np.array([[10.0]]))
    assert (found.bad[2.0], found.bad[1.0]) == (0.0, 100.0)


def test_nothing_answered_is_all_bad_and_has_no_error():
    found = accuracy(np.full((1, 3), NAN), np.ones((1, 3)))
    assert (found.density, found.bad[4.0], found.d1) == (0.0, 100.0, 100.0)
    assert np.isnan(found.epe)


def test_no_truth_is_refused():
    with pytest.raises(ValueError, match="no pixel"):
        accuracy(np.ones((2, 2)), np.full((2, 2), NAN))


def errors(count: int = 1000) -> tuple[np.ndarray, np.ndarray]:
    """Truth 0 and disparities, which are the errors then, from 0 to 1 px in random order."""
    disparity = np.random.default_rng(0).permutation(np.linspace(0, 1, count)).reshape(1, -1)
    return disparity, np.zeros_like(disparity)


def test_confidence_that_orders_by_error_is_perfect():
    disparity, truth = errors()
    found = sparsification(disparity, -disparity, truth)
    assert found.ause == pytest.approx(0.0, abs=1e-12)
    assert found.relative == pytest.approx(0.0, abs=1e-9)
    assert list(found.deciles) == sorted(found.deciles)
    # errors uniform in 0..1: the best fraction k has a mean of k / 2, on average 1/4 and a bit
    assert found.auc == pytest.approx(np.mean(found.share_left) / 2, abs=1e-3)


def test_random_confidence_is_no_better_than_chance():
    disparity, truth = errors(100_000)
    random = np.random.default_rng(1).random(disparity.shape)
    assert sparsification(disparity, random, truth).relative == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("upside_down", [False, True])
def test_confidence_that_is_the_same_everywhere_is_no_better_than_chance(upside_down):
    truth = np.zeros((20, 30), np.float32)
    disparity = np.arange(600, dtype=np.float32).reshape(20, 30)

    found = sparsification(disparity[:: -1 if upside_down else 1], np.full((20, 30), 0.5), truth)

    assert found.relative == pytest.approx(1.0)
    assert found.deciles == pytest.approx([299.5] * 10)


def test_confidence_that_is_upside_down_is_worse_than_chance():
    disparity, truth = errors()
    found = sparsification(disparity, disparity, truth)
    assert found.relative == pytest.approx(2.0, abs=0.05)
    assert list(found.deciles) == sorted(found.deciles, reverse=True)


def test_the_whole_curve_starts_at_the_mean_error_of_all():
    disparity, truth = errors()
    found = sparsification(disparity, -disparity, truth)
    assert found.share_left[0] == 1.0
    assert found.error[0] == found.oracle[0] == pytest.approx(disparity.mean())


def test_pixels_without_truth_do_not_take_part():
    disparity, truth = errors()
    wild = np.concatenate([disparity, np.full((1, 500), 99.0)], axis=1)
    unknown = np.concatenate([truth, np.full((1, 500), NAN)], axis=1)
    assert sparsification(wild, -wild, unknown) == sparsification(disparity, -disparity, truth)


def test_sky_is_claimed_near_by_what_is_both_near_and_confident():
    # near and sure, near and unsure, exactly at either limit, far and sure, and no sky
    disparity = np.array([[40.0, 40.0, 12.0, 40.0, 3.0, 40.0]])
    confidence = np.array([[0.9, 0.1, 0.9, 0.3, 1.0, 0.9]])
    sky = np.array([[True, True, True, True, True, False]])

    assert measure_near_sky(disparity, confidence, sky) == Share(5, pytest.approx(20.0))
    assert measure_near_sky(disparity, confidence, ~sky) == Share(1, 100.0)


def test_pair_without_sky_has_no_share_of_it():
    assert measure_near_sky(np.ones((2, 2)), np.ones((2, 2)), np.zeros((2, 2), bool)) is None


def test_thin_structure_is_missed_by_an_error_of_more_than_two_px_or_no_answer():
    truth = np.array([[20.0, 20.0, 20.0, 20.0, NAN]])
    disparity = np.array([[22.0, 17.5, NAN, 5.0, 20.0]])
    thin = np.array([[True, True, True, False, False]])

    assert measure_missed(disparity, truth, thin) == Share(3, pytest.approx(200 / 3))
    assert measure_missed(disparity, truth, np.zeros((1, 5), bool)) is None
