"""A subscriber that records what it receives, for the demo and the benchmark."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from rclpy.time import Time

from stereo_depth_ros.ros.diagnosing.diagnostics import parse_numbers


class Recorder(Node):
    """Subscribes to ``topics`` (name → message type) and to the diagnostics of a namespace.

    ``latest`` holds the newest message of each topic, ``latencies`` seconds from stamp to arrival,
    ``arrivals`` monotonic times, ``diagnostics`` the newest status by subject.
    """

    def __init__(self, topics: Mapping[str, type], namespace: str) -> None:
        super().__init__("recorder", namespace=namespace)
        self._prefix = namespace.lstrip("/")
        self.latest: dict[str, Any] = {}
        self.latencies: dict[str, list[float]] = defaultdict(list)
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self.diagnostics: dict[str, DiagnosticStatus] = {}
        for topic, kind in topics.items():
            self.create_subscription(kind, topic, self._record(topic), qos_profile_sensor_data)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)
        # Made now: a signal while rclpy makes one on the first spin leaves a half that complains.
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)

    def destroy_node(self) -> None:
        """Stop recording, for good."""
        self._executor.shutdown()
        super().destroy_node()

    def _record(self, topic: str) -> Callable[[Any], None]:
        def record(message: Any) -> None:
            age = self.get_clock().now() - Time.from_msg(message.header.stamp)
            self.latest[topic] = message
            self.latencies[topic].append(age.nanoseconds * 1e-9)
            self.arrivals[topic].append(time.monotonic())

        return record

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._prefix):
                self.diagnostics[status.name.split(": ", 1)[1]] = status

    def spin_for(self, seconds: float) -> None:
        """Record for ``seconds``."""
        self.spin_until(lambda: False, seconds)

    def spin_until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Record until ``condition`` holds; returns whether it did within ``seconds``."""
        deadline = time.monotonic() + seconds
        while not condition():
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._executor.spin_once(timeout_sec=min(left, 0.1))
        return True

    def forget(self) -> None:
        """Start the record anew."""
        self.latencies.clear()
        self.arrivals.clear()

    def rate(self, topic: str) -> float:
        """Return messages per second of ``topic``, from its first to its last arrival."""
        times = self.arrivals[topic]
        return (len(times) - 1) / (times[-1] - times[0]) if len(times) > 1 else 0.0

    def latency_ms(self, topic: str, percentile: float) -> float:
        """Return a percentile of stamp to arrival in ms, NaN where nothing arrived."""
        values = self.latencies[topic]
        return float(np.percentile(values, percentile) * 1e3) if values else float("nan")

    def numbers(self, subject: str) -> dict[str, tuple[float, ...]]:
        """Return the newest values of a diagnostic subject that are numbers, by key."""
        numbers = {}
        status = self.diagnostics.get(subject)
        for value in status.values if status else ():
            with suppress(ValueError):
                numbers[value.key] = parse_numbers(value.value)
        return numbers

    def is_error(self, subject: str) -> bool:
        """Whether the newest status of a diagnostic subject is an error."""
        status = self.diagnostics.get(subject)
        return status is not None and status.level == DiagnosticStatus.ERROR

    def complaints(self) -> list[str]:
        """Return what diagnostics complain of, one line a subject."""
        return [
            f"{subject}: {status.message}"
            for subject, status in self.diagnostics.items()
            if status.level != DiagnosticStatus.OK
        ]
