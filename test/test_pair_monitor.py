"""When pairs are checked, refused and accepted again."""

import numpy as np
import pytest

from stereo_depth_ros.pair_check import SWAPPED, UNMATCHED
from stereo_depth_ros.pair_monitor import (
    CHECK_S,
    MAX_SAME_S,
    MIN_REFUSALS,
    NO_PARALLAX,
    RECHECK_S,
    SAME_VIEW,
    PairMonitor,
    PairState,
    judge_pair,
)
from stereo_depth_ros.same_view import Views


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def monitor(clock):
    return PairMonitor(clock)


def test_first_pair_is_checked_and_the_next_after_some_seconds(monitor, clock, yard):
    assert monitor.is_due

    monitor.check(yard.pair.left, yard.pair.right, 0.0)

    assert not monitor.is_due
    clock.now += CHECK_S
    assert monitor.is_due
    state = monitor.judge(Views.DIFFERENT)
    assert (state.refusal, state.findings) == (None, ())
    assert state.check.matches > 100


def test_swapped_pairs_are_refused_until_a_check_finds_them_mended(monitor, clock, yard):
    monitor.check(yard.pair.right, yard.pair.left, 0.0)
    assert monitor.judge(Views.DIFFERENT).refusal == SWAPPED
    # Between two checks as well
    assert monitor.judge(Views.DIFFERENT).refusal == SWAPPED
    assert not monitor.is_due

    clock.now += RECHECK_S
    assert monitor.is_due
    monitor.check(yard.pair.left, yard.pair.right, 0.0)

    assert monitor.judge(Views.DIFFERENT).refusal is None
    clock.now += RECHECK_S
    assert not monitor.is_due


def test_pairs_that_say_nothing_lift_no_refusal(monitor, clock, yard):
    blank = np.zeros_like(yard.pair.left)
    monitor.check(yard.pair.right, yard.pair.left, 0.0)
    monitor.check(blank, blank, 0.0)

    assert monitor.judge(Views.BLANK).refusal == SWAPPED
    clock.now += RECHECK_S
    assert monitor.is_due


def test_pairs_that_say_nothing_take_no_acceptance_back(monitor, yard):
    blank = np.zeros_like(yard.pair.left)
    monitor.check(yard.pair.left, yard.pair.right, 0.0)
    monitor.check(blank, blank, 0.0)

    assert monitor.judge(Views.BLANK).refusal is None


def test_accepted_rig_is_refused_by_several_checks_in_a_row(monitor, clock, yard):
    # One may be a turn between the exposures of cameras that are not synchronized.
    left, right = yard.pair.left, yard.pair.right
    monitor.check(left, right, 0.0)
    for views in [(right, left), (right, left), (left, right)]:
        monitor.check(*views, 0.0)
        assert monitor.judge(Views.DIFFERENT).refusal is None

    refusals = []
    for _ in range(MIN_REFUSALS):
        monitor.check(right, left, 0.0)
        refusals.append(monitor.judge(Views.DIFFERENT).refusal)
        clock.now += RECHECK_S
        assert monitor.is_due
    assert refusals == [None] * (MIN_REFUSALS - 1) + [SWAPPED]

    monitor.check(left, right, 0.0)
    assert monitor.judge(Views.DIFFERENT).refusal is None


def test_views_that_match_nowhere_are_named_by_several_checks_in_a_row(monitor, clock, yard):
    left, right = yard.pair.left, yard.pair.right
    turned = right[::-1, ::-1].copy()
    monitor.check(left, right, 0.0)

    findings = []
    for _ in range(MIN_REFUSALS):
        monitor.check(left, turned, 0.0)
        findings.append(monitor.judge(Views.DIFFERENT).findings)
        clock.now += RECHECK_S
    assert findings == [()] * (MIN_REFUSALS - 1) + [(UNMATCHED,)]
    assert monitor.judge(Views.DIFFERENT).refusal is None

    monitor.check(left, right, 0.0)
    assert monitor.judge(Views.DIFFERENT).findings == ()


def test_state_between_check_and_verdict_is_the_last_one(monitor, yard):
    monitor.check(yard.pair.right, yard.pair.left, 0.0)
    refused = monitor.judge(Views.DIFFERENT)
    monitor.check(yard.pair.right, yard.pair.left, 0.0)

    assert monitor.state is refused


def test_one_view_is_refused_from_the_first_frame_to_the_first_second_view(monitor):
    for _ in range(3):
        assert monitor.judge(Views.SAME).refusal == SAME_VIEW
    assert monitor.judge(Views.DIFFERENT).refusal is None


def test_rig_that_has_shown_parallax_may_show_none_for_a_while(monitor, clock):
    monitor.judge(Views.DIFFERENT)
    clock.now += MAX_SAME_S

    state = monitor.judge(Views.SAME)
    assert (state.refusal, state.findings) == (None, (NO_PARALLAX,))

    clock.now += 0.1
    assert monitor.judge(Views.SAME).refusal == SAME_VIEW


@pytest.mark.parametrize("views", [Views.BLANK, Views.INDISTINCT])
def test_dark_room_is_not_refused(monitor, clock, views):
    assert monitor.judge(views).refusal is None
    clock.now += 60.0
    assert monitor.judge(views) == PairState(views)


def test_forgotten_rig_is_checked_anew(monitor, yard):
    monitor.judge(Views.DIFFERENT)
    monitor.check(yard.pair.right, yard.pair.left, 0.0)

    monitor.forget()

    assert monitor.is_due
    assert monitor.state == PairState()
    assert monitor.judge(Views.SAME).refusal == SAME_VIEW


def test_single_pair_is_judged_by_itself(yard):
    left, right = yard.pair.left, yard.pair.right

    assert judge_pair(left, right, 0.0).refusal is None
    assert judge_pair(left, right, 0.0).findings == ()
    assert judge_pair(left, left, 0.0).refusal == SAME_VIEW
    assert judge_pair(right, left, 0.0).refusal == SWAPPED
    (line,) = judge_pair(left, np.roll(right, 6, axis=0), 0.0).findings
    assert line.startswith("rows of the two views differ by 6.0 px RMS")
