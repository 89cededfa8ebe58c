from __future__ import annotations

import logging

import pytest

from stereo_depth_ros.ros.diagnosing.core_log import CoreLog

CORE = logging.getLogger("stereo_depth_ros.engines.open")


class RosLogger:
    """Takes what a ROS logger takes."""

    def __init__(self) -> None:
        self.said: list[tuple[str, str]] = []

    def error(self, text: str) -> None:
        self.said.append(("error", text))

    def warning(self, text: str) -> None:
        self.said.append(("warning", text))

    def info(self, text: str) -> None:
        self.said.append(("info", text))


@pytest.fixture
def ros_logger():
    logger = RosLogger()
    handler = CoreLog(logger)
    yield logger
    handler.close()


def test_what_the_core_logs_reaches_ros_at_its_severity(ros_logger):
    CORE.debug("unheard")
    CORE.info("engine: %s", "net")
    CORE.warning("refused")
    CORE.error("failed")

    assert ros_logger.said == [("info", "engine: net"), ("warning", "refused"), ("error", "failed")]


def test_what_others_log_does_not(ros_logger):
    logging.getLogger("matplotlib").warning("a font")

    assert ros_logger.said == []


def test_once_closed_nothing_does():
    logger = RosLogger()
    CoreLog(logger).close()

    CORE.warning("late")

    assert logger.said == []
