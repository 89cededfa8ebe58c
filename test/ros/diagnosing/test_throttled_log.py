"""Which messages reach the log, how often, and how long they may be."""

from __future__ import annotations

import pytest

from stereo_depth_ros.ros.diagnosing import throttled_log
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog


class Logger:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.error = self.warning = self.info = self.lines.append


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(throttled_log.time, "monotonic", lambda: now[0])
    return now


def test_a_message_whose_numbers_change_is_logged_once_in_ten_seconds(clock):
    logger = Logger()
    log = ThrottledLog(logger)
    for second in range(30):
        clock[0] = float(second)
        log.warning(
            f"one inference has been running for {second} s, {second * 1.7e-5:g} of the time"
        )
    assert len(logger.lines) == 3


def test_other_messages_are_not_held_back(clock):
    logger = Logger()
    log = ThrottledLog(logger)
    for text in ("left is late", "right is late", "left is late", "left is 3 ms late"):
        log.error(text)
    assert logger.lines == ["left is late", "right is late", "left is 3 ms late"]


@pytest.mark.parametrize("severity", ["error", "warning", "info"])
def test_a_long_text_is_cut_in_the_middle(severity):
    logger = Logger()
    getattr(ThrottledLog(logger), severity)("cause: " + "x" * 100_000 + "; cure")
    (line,) = logger.lines
    assert len(line) <= 1000
    assert line.startswith("cause: xxx")
    assert line.endswith("xxx; cure")
    assert "[100013 characters]" in line
