"""What a recorder knows of the topics and the diagnostics of one namespace."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

from stereo_depth_ros.ros.diagnosing.diagnostics import (
    ERROR,
    OK,
    WARN,
    DiagnosticsPublisher,
    Report,
)
from stereo_depth_ros.ros.tools.recorder import Recorder


@pytest.fixture
def part(dds) -> Iterator[SimpleNamespace]:
    """A recorder of two topics, and a node that publishes one of them and diagnostics."""
    node = Node("recorded", namespace="/recorder_test")
    recorder = Recorder({"depth": Image, "never": Image}, "/recorder_test")
    send = node.create_publisher(Image, "depth", qos_profile_sensor_data).publish
    yield SimpleNamespace(
        node=node, recorder=recorder, send=send, report=DiagnosticsPublisher(node).publish
    )
    recorder.destroy_node()
    node.destroy_node()


def test_rate_and_latency_are_those_of_the_messages(part):
    def arrived() -> bool:
        message = Image(width=3)
        stamp = part.node.get_clock().now() - Duration(seconds=0.5)
        message.header.stamp = stamp.to_msg()
        part.send(message)
        time.sleep(0.02)
        return len(part.recorder.arrivals["depth"]) > 10

    assert part.recorder.spin_until(arrived, 20.0)
    times = part.recorder.arrivals["depth"]
    assert part.recorder.latest["depth"].width == 3
    assert part.recorder.rate("depth") == (len(times) - 1) / (times[-1] - times[0])
    assert 500.0 < part.recorder.latency_ms("depth", 50) < 5000.0

    part.recorder.forget()
    assert part.recorder.rate("depth") == 0.0
    assert math.isnan(part.recorder.latency_ms("depth", 50))


def test_condition_that_never_holds_ends_in_time(part):
    began = time.monotonic()
    assert not part.recorder.spin_until(lambda: "never" in part.recorder.latest, 0.3)
    assert 0.3 <= time.monotonic() - began < 3.0


def test_diagnostics_are_numbers_levels_and_complaints(part):
    reports = [
        Report("engine", ERROR, "no memory"),
        Report("inference", OK, "ok", {"own p50 / p95 (ms)": (1.5, 2.5), "failed": 3, "a": "b"}),
        Report("outputs", WARN, "silence"),
    ]

    def arrived() -> bool:
        part.report(reports, "camera")
        return len(part.recorder.diagnostics) == 3

    assert part.recorder.spin_until(arrived, 20.0)
    expected = {"own p50 / p95 (ms)": (1.5, 2.5), "failed": (3.0,)}
    assert part.recorder.numbers("inference") == expected
    assert part.recorder.numbers("calibration") == {}
    assert part.recorder.is_error("engine")
    assert not part.recorder.is_error("outputs")
    assert part.recorder.complaints() == ["engine: no memory", "outputs: silence"]
