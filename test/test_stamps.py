from __future__ import annotations

from itertools import pairwise

import pytest

from stereo_depth_ros.stamps import (
    JUMP_NS,
    LEFT,
    RIGHT,
    RestartDetector,
    StampRecord,
)

MS = 1_000_000
PERIOD = 33 * MS


def record_of(skew: int, count: int = 10, lost: tuple[int, ...] = ()) -> StampRecord:
    """A record of right images ``skew`` ns after the left ones, some of the latter lost."""
    record = StampRecord()
    for number in range(count):
        if number not in lost:
            record.add(LEFT, number * PERIOD)
        record.add(RIGHT, number * PERIOD + skew)
    return record


@pytest.mark.parametrize("skew", [0, 4 * MS, -4 * MS])
def test_skew_is_that_of_the_nearest_stamps(skew):
    assert record_of(skew).typical_skew_ns() == skew
    assert record_of(skew, lost=(3, 6)).typical_skew_ns() == skew


def test_skew_is_unknown_of_too_few_stamps_and_near_half_a_period():
    assert record_of(0, count=2).typical_skew_ns() is None
    assert record_of(15 * MS).typical_skew_ns() is None


def test_period_is_the_smallest_step():
    assert record_of(0, lost=(3, 6)).period_ns == PERIOD


def test_equal_stamps_are_noticed_until_they_are_forgotten():
    record = record_of(0)
    assert record.has_equals
    assert not record_of(1).has_equals

    record.clear()
    assert not record.has_equals
    assert record.typical_skew_ns() is None


def restarts(stamps: list[int]) -> list[int]:
    """Indices of the ``stamps`` of one side at which a restart is noticed."""
    detector = RestartDetector()
    return [index for index, stamp in enumerate(stamps) if detector.add(LEFT, stamp)]


def test_stamps_that_rise_are_no_restart():
    assert restarts([n * PERIOD for n in range(300)]) == []


def test_large_step_back_is_a_restart_at_once():
    first = [10 * JUMP_NS + n * PERIOD for n in range(5)]
    assert restarts([*first, *(n * PERIOD for n in range(5))]) == [5]


def test_short_bag_in_a_loop_is_a_restart_at_its_third_known_stamp():
    assert restarts([n * PERIOD for n in range(10)] * 3) == [12, 22]


def test_two_images_in_the_wrong_order_are_no_restart():
    stamps = [n * PERIOD for n in range(20)]
    for first, second in pairwise(range(0, 20, 4)):
        stamps[first + 1], stamps[second] = stamps[second], stamps[first + 1]
    assert restarts(stamps) == []
