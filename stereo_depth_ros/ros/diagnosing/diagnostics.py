"""The node's health as diagnostic messages (REP 107): one status a subject."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.ros import qos

OK, WARN, ERROR = DiagnosticStatus.OK, DiagnosticStatus.WARN, DiagnosticStatus.ERROR

_SEPARATOR = " / "


@dataclass
class Report:
    """One subject: its state, in a word or a sentence, and its values.

    A value is text, a number, a tuple of numbers, or None where it is unknown.
    """

    subject: str
    level: bytes = OK
    message: str = "ok"
    values: Mapping[str, Any] = field(default_factory=dict)


class DiagnosticsPublisher:
    """Publishes reports on /diagnostics, where aggregators expect every node's."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        profile = qos.QoSProfile(depth=10)
        self._publisher = qos.create_publisher(
            node, node.create_publisher, DiagnosticArray, "/diagnostics", profile
        )

    def publish(self, reports: list[Report], hardware_id: str) -> None:
        """Publish ``reports`` of the hardware that ``hardware_id`` names."""
        message = DiagnosticArray()
        message.header.stamp = self._node.get_clock().now().to_msg()
        name = self._node.get_fully_qualified_name().lstrip("/")
        message.status = [
            DiagnosticStatus(
                level=report.level,
                name=f"{name}: {report.subject}",
                message=shorten(report.message),
                hardware_id=shorten(hardware_id),
                values=[KeyValue(key=k, value=_format(v)) for k, v in report.values.items()],
            )
            for report in reports
        ]
        self._publisher.publish(message)


def _format(value: Any) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, tuple):
        return _SEPARATOR.join(map(_format, value))
    return f"{value:.4g}" if isinstance(value, float) else shorten(str(value))


def parse_numbers(text: str) -> tuple[float, ...]:
    """Return the numbers of a value that `DiagnosticsPublisher` published."""
    return tuple(map(float, text.split(_SEPARATOR)))
