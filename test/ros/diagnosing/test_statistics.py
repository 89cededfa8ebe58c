from __future__ import annotations

import math
import threading
import time

import numpy as np
import pytest

from stereo_depth_ros.ros.diagnosing.statistics import Rate, Statistics


def test_a_rate_is_zero_before_two_events():
    rate = Rate()
    assert rate.hz == 0.0
    rate.tick()
    assert rate.hz == 0.0


def test_a_rate_is_intervals_per_second():
    rate = Rate()
    times = []
    for _ in range(6):
        times.append(time.monotonic())
        rate.tick()
        time.sleep(0.02)
    assert rate.hz == pytest.approx(5 / (times[-1] - times[0]), rel=0.05)


def test_a_rate_forgets_what_is_older_than_its_window():
    rate = Rate(window=0.05)
    rate.tick()
    rate.tick()
    assert rate.hz > 0
    time.sleep(0.06)
    assert rate.hz == 0.0


def test_counts_add_up():
    statistics = Statistics()
    for _ in range(3):
        statistics.count("pairs")
    statistics.count("failed")
    assert statistics.counts == {"pairs": 3, "failed": 1}


def test_counts_of_several_threads_add_up():
    statistics = Statistics()
    threads = [
        threading.Thread(target=lambda: [statistics.count("pairs") for _ in range(2000)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statistics.counts["pairs"] == 8000


def test_percentiles_are_in_milliseconds_for_every_stage_and_the_latency():
    statistics = Statistics()
    seconds = np.arange(1, 101) / 1000
    for value in seconds:
        statistics.record_published(
            {"inference": value, "depth": 2 * value}, latency=3 * value, confidence=0.5, valid=0.9
        )
    found = statistics.percentiles_ms()
    assert set(found) == {"inference", "depth", "own", "overhead", "latency"}
    assert found["own"] == pytest.approx(found["depth"])
    assert found["overhead"] == pytest.approx((101.0, 190.1))
    assert found["inference"] == pytest.approx((50.5, 95.05))
    assert found["depth"] == pytest.approx((101.0, 190.1))
    assert found["latency"] == pytest.approx((151.5, 285.15))
    assert statistics.counts["published"] == 100


def test_percentiles_are_those_of_the_recent_frames():
    statistics = Statistics()
    for _ in range(300):
        statistics.record_published({"inference": 1.0}, latency=1.0, confidence=0.5, valid=0.9)
    for _ in range(300):
        statistics.record_published({"inference": 0.01}, latency=0.02, confidence=0.5, valid=0.9)
    assert statistics.percentiles_ms()["inference"] == pytest.approx((10.0, 10.0))


def test_there_are_no_percentiles_before_the_first_frame():
    assert Statistics().percentiles_ms() == {}


def test_a_stage_that_is_not_always_run_keeps_its_own_times():
    statistics = Statistics()
    statistics.record_published(
        {"inference": 0.1, "points": 0.004}, latency=0.2, confidence=0.5, valid=0.9
    )
    statistics.record_published({"inference": 0.1}, latency=0.2, confidence=0.5, valid=0.9)
    assert statistics.percentiles_ms()["points"] == pytest.approx((4.0, 4.0))


def test_an_error_is_kept_until_a_frame_succeeds():
    statistics = Statistics()
    statistics.record_error("the first")
    statistics.record_error("the last")
    assert statistics.counts["failed"] == 2
    at, text = statistics.last_error
    assert text == "the last"
    assert 0 <= time.monotonic() - at < 1
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.9)
    assert statistics.last_error is None
    assert statistics.counts["failed"] == 2


def test_the_time_of_the_last_frame_is_kept():
    statistics = Statistics()
    assert statistics.last_published is None
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.9)
    assert 0 <= time.monotonic() - statistics.last_published < 1
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.9)
    assert statistics.published.hz > 0


def test_confidence_and_valid_share_are_unknown_at_first_and_then_the_newest_frames():
    statistics = Statistics()
    assert math.isnan(statistics.confidence_mean)
    assert math.isnan(statistics.valid)
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.9)
    statistics.record_published({}, latency=0.1, confidence=0.25, valid=0.0)
    assert (statistics.confidence_mean, statistics.valid) == (0.25, 0.0)


def test_percentiles_can_be_read_while_frames_are_recorded():
    statistics = Statistics()
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                statistics.percentiles_ms()
            except Exception as error:
                failures.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(1000):
        statistics.record_published(
            {f"stage {number}": 0.1}, latency=0.1, confidence=0.5, valid=0.9
        )
    done.set()
    reader.join()
    assert failures == []
    assert len(statistics.percentiles_ms()) == 1003
