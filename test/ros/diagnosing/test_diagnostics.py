from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and diagnostic_msgs)")

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.node import Node
from rig import Rig

from stereo_depth_ros.ros.diagnosing.diagnostics import (
    OK,
    WARN,
    DiagnosticsPublisher,
    Report,
    parse_numbers,
)

REPORT = Report(
    "inference",
    WARN,
    "late",
    {
        "own p50 / p95 (ms)": (1.25, 1234.56),
        "failed": 12345,
        "skew (ms)": None,
        "subscribed": "depth, points",
        "rate (Hz)": 29.97003,
    },
)


@pytest.fixture
def received(dds) -> dict[str, DiagnosticStatus]:
    """What a subscriber receives of two reports, by subject."""
    node = Node("stereo_depth_node", namespace="/diagnostics_test")
    rig = Rig("/diagnostics_test", has_camera=False)
    publisher = DiagnosticsPublisher(node)
    try:

        def arrived() -> bool:
            publisher.publish([REPORT, Report("engine")], "a camera")
            return len(rig.diagnostics) == 2

        assert rig.until(arrived)
        return rig.diagnostics
    finally:
        rig.destroy_node()
        node.destroy_node()


def test_reports_arrive_with_level_message_and_hardware(received):
    status = received["inference"]
    assert (status.level, status.message, status.hardware_id) == (WARN, "late", "a camera")
    assert (received["engine"].level, received["engine"].message) == (OK, "ok")


def test_numbers_are_text_on_the_wire_and_numbers_again_behind_it(received):
    values = {value.key: value.value for value in received["inference"].values}
    assert values == {
        "own p50 / p95 (ms)": "1.25 / 1235",
        "failed": "12345",
        "skew (ms)": "unknown",
        "subscribed": "depth, points",
        "rate (Hz)": "29.97",
    }
    assert parse_numbers(values["own p50 / p95 (ms)"]) == (1.25, 1235.0)
    assert parse_numbers(values["failed"]) == (12345.0,)
