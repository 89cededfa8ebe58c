"""What of the node's silence is reported, and what of it is logged and how often."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and diagnostic_msgs)")

from stereo_depth_ros.engines import EngineSpec, Provenance
from stereo_depth_ros.pair_monitor import PairState
from stereo_depth_ros.ros.diagnosing import reporter as module
from stereo_depth_ros.ros.diagnosing import statistics
from stereo_depth_ros.ros.diagnosing.diagnostics import OK, WARN
from stereo_depth_ros.ros.diagnosing.reporter import Reporter
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.watchdog import TopicState
from stereo_depth_ros.synchronizer import LEFT, RIGHT, PairSynchronizer

TOPICS = tuple(
    TopicState(name, "type", publishers=1, hz=30.0, received=150)
    for name in ("left", "right", "left_info", "right_info")
)


class Rig:
    """A reporter of a node that runs; the time is the test's."""

    def __init__(self, monkeypatch) -> None:
        self.now, self.lines, self.reports = 1000.0, [], []
        self.is_subscribed, self.max_rate, self.pairs = True, 0.0, 0
        publisher = SimpleNamespace(publish=lambda reports, _: self.reports.append(reports))
        monkeypatch.setattr(module, "DiagnosticsPublisher", lambda node: publisher)
        monkeypatch.setattr(statistics.time, "monotonic", lambda: self.now)
        log = SimpleNamespace(
            info=lambda text: self.lines.append(("info", text)),
            warning=lambda text: self.lines.append(("warning", text)),
        )
        self.synchronizer = PairSynchronizer()
        self.statistics = Statistics()
        self.reporter = Reporter(None, log)

    def run(self, seconds: int) -> None:
        """Let time pass, in which pairs arrive, none is published and each second is reported."""
        engine_spec = EngineSpec(
            "net", "onnxruntime", 240, 320, 192.0, "fp32", "CPU", Provenance("net.onnx")
        )
        engine = SimpleNamespace(is_ready=True, spec=engine_spec)
        for _ in range(seconds):
            self.now += 1.0
            self.pairs += 1
            for side in (LEFT, RIGHT):
                self.synchronizer.add(side, self.pairs * 33_000_000, "image")
            channel = SimpleNamespace(
                inputs=SimpleNamespace(
                    synchronizer=self.synchronizer, read_states=lambda: TOPICS, is_subscribed=True
                ),
                outputs=SimpleNamespace(
                    has_subscribers=lambda: self.is_subscribed, list_subscribed=set
                ),
                processor=SimpleNamespace(
                    camera_frame=None,
                    camera=None,
                    calibration_error=None,
                    pair=PairState(),
                    rectification="none",
                ),
                statistics=self.statistics,
                max_rate=self.max_rate,
            )
            loader = SimpleNamespace(engine=engine, error=None, progress=None)
            self.reporter.report(True, channel, loader)

    @property
    def outputs(self):
        return next(report for report in self.reports[-1] if report.subject == "outputs")


@pytest.fixture
def rig(monkeypatch):
    return Rig(monkeypatch)


def test_that_nobody_subscribes_is_logged_once_until_it_changes(rig):
    rig.is_subscribed = False
    rig.run(60)
    (line,) = rig.lines
    assert line[0] == "info"
    assert "nobody subscribes" in line[1]
    assert rig.outputs.level == OK
    assert "nobody subscribes" in rig.outputs.message

    rig.is_subscribed = True
    rig.run(1)
    rig.is_subscribed = False
    rig.run(60)
    assert rig.lines == [line, line]


def test_a_low_max_rate_is_logged_once_and_reported_without_alarm(rig):
    rig.max_rate = 0.1
    rig.run(60)
    (line,) = rig.lines
    assert line[0] == "info"
    assert "max_rate is 0.1 Hz" in line[1]
    assert rig.outputs.level == OK
    assert "max_rate is 0.1 Hz" in rig.outputs.message

    rig.max_rate = 0.05
    rig.run(2)
    assert "max_rate is 0.05 Hz" in rig.lines[1][1]


def test_a_fault_is_logged_again_and_again(rig, monkeypatch):
    rig.statistics.record_error("no such thing")
    rig.run(20)
    assert rig.outputs.level == WARN
    assert len(rig.lines) > 10
    assert set(rig.lines) == {
        ("warning", "nothing published for 5 s: every frame fails: no such thing")
    }
