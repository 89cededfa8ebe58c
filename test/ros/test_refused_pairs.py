"""A rig that is wrong, before a node process over DDS."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from diagnostic_msgs.msg import DiagnosticStatus
from rig import Rig, info

from stereo_depth_ros.ros.images import encode
from stereo_depth_ros.ros.tools.processes import NODE

pytestmark = pytest.mark.ros

NAMESPACE = "/wrong"
TOPICS = ("depth/image_rect", "points", "points/free_space", "disparity", "confidence/image")


@pytest.fixture(scope="module")
def rig(processes, rigs) -> Rig:
    processes(NODE, {"model": "sgbm"}, NAMESPACE)
    return rigs(NAMESPACE)


def show(rig, left, right):
    height, width = left.shape[:2]
    infos = (info(width, height, 260.0, 0.12), info(width, height, 260.0, 0.12, right=True))
    rig.send(encode(left, "rgb8"), encode(right, "rgb8"), infos)


def is_refused(rig, cause):
    status = rig.diagnostics.get("calibration")
    return (
        status is not None
        and status.level == DiagnosticStatus.ERROR
        and cause in status.message
        and cause in rig.says("outputs")
    )


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [
        (lambda left, right: (left, left), "left and right show the same view"),
        (lambda left, right: (right, left), "left and right are swapped"),
    ],
    ids=["same", "swapped"],
)
def test_nothing_is_published_from_a_wrong_rig_until_it_is_mended(rig, yard, mistake, cause):
    left, right = yard.pair.left, yard.pair.right
    # Without listeners the node forgets the rig of the test before.
    rig.unsubscribe()
    assert rig.until(lambda: rig.reports("outputs").get("subscribed") == "nothing", 20.0)
    rig.until(lambda: False, 1.0)
    rig.subscribe(*TOPICS)

    def refused():
        show(rig, *mistake(left, right))
        return is_refused(rig, cause)

    assert rig.until(refused, 60.0), (rig.says("calibration"), rig.says("outputs"))
    assert not any(rig.received[topic] for topic in TOPICS)

    def mended():
        show(rig, left, right)
        return all(rig.received[topic] for topic in TOPICS) and rig.says("calibration") == "ok"

    assert rig.until(mended, 60.0), rig.says("calibration")
    status = rig.reports("calibration")
    assert status["views"] == "different"
    assert float(status["matches below infinity (%)"]) < 10
    assert float(status["contrast right / left"]) == pytest.approx(1.0, abs=0.05)
    depth = np.frombuffer(rig.last("depth/image_rect").data, np.float32)
    assert np.isposinf(depth).any()
