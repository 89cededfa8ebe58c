"""Which frames a rate limit admits, by schedule and after it changed."""

from __future__ import annotations

import pytest

from stereo_depth_ros.ros.rate_limit import RateLimit


def limit(rate: float) -> RateLimit:
    made = RateLimit()
    made.rate = rate
    return made


def admitted(made: RateLimit, times: list[float]) -> list[float]:
    return [time for time in times if made.admit(time)]


def test_no_limit_admits_every_frame():
    assert admitted(RateLimit(), [0.0, 0.0, 0.001]) == [0.0, 0.0, 0.001]


def test_ten_per_second_of_thirty_take_every_third_in_spite_of_jitter():
    frames = [n / 30 + (0.004 if n % 2 else -0.004) for n in range(90)]
    assert len(admitted(limit(10.0), frames)) == pytest.approx(30, abs=1)


def test_a_faster_limit_does_not_wait_for_the_slower_ones_schedule():
    made = limit(0.01)
    assert admitted(made, [0.0, 1.0]) == [0.0]
    made.rate = 10.0
    assert admitted(made, [1.03, 1.06, 1.2]) == [1.03, 1.2]


def test_the_same_limit_set_again_changes_nothing():
    made = limit(1.0)
    assert made.admit(0.0)
    made.rate = 1.0
    assert not made.admit(0.5)


def test_a_restart_admits_the_next_frame():
    made = limit(0.01)
    assert made.admit(0.0)
    made.restart()
    assert made.admit(0.1)
