"""What real publishers send of a result, and that they know who subscribes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from fakes import FixedEngine, make_camera
from rclpy.lifecycle import LifecycleNode
from rig import FRAME, OUTPUTS, Rig, floats
from std_msgs.msg import Header

from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.ros.outputs import StereoOutputs

NAMESPACE = "/outputs"
CAMERA = make_camera(64, 48)
DISPARITY = 5.0


@pytest.fixture
def part(dds) -> Iterator[SimpleNamespace]:
    """An active node with outputs, and a rig that may subscribe to them."""
    node = LifecycleNode("outputs_test", namespace=NAMESPACE)
    outputs = StereoOutputs(node)
    node.trigger_configure()
    node.trigger_activate()
    rig = Rig(NAMESPACE, has_camera=False)
    yield SimpleNamespace(node=node, outputs=outputs, rig=rig)
    rig.destroy_node()
    node.destroy_node()


def test_outputs_know_their_subscribers(part):
    assert (part.outputs.list_subscribed(), part.outputs.has_subscribers()) == (set(), False)

    part.rig.subscribe("depth/camera_info")
    assert part.rig.until(part.outputs.has_subscribers)
    assert part.outputs.list_subscribed() == set()

    part.rig.subscribe("disparity", "points")
    assert part.rig.until(lambda: len(part.outputs.list_subscribed()) == 2)
    assert {output.value for output in part.outputs.list_subscribed()} == {"disparity", "points"}


def test_every_output_of_a_result_is_published_under_the_header(part):
    pipeline = StereoPipeline(FixedEngine(DISPARITY))
    view = np.random.default_rng(0).integers(0, 255, (48, 64, 3), np.uint8)
    header = Header(frame_id=FRAME)
    header.stamp.sec = 7
    part.rig.subscribe(*OUTPUTS)
    count = len(OUTPUTS) - 1
    assert part.rig.until(lambda: len(part.outputs.list_subscribed()) == count)

    def arrived() -> bool:
        result = pipeline.process(view, view[:, ::-1], CAMERA, part.outputs.list_subscribed())
        part.outputs.publish(result, header)
        return all(part.rig.received[topic] for topic in OUTPUTS)

    assert part.rig.until(arrived)
    for topic in OUTPUTS:
        assert part.rig.last(topic).header == header, topic
    depth = CAMERA.fx * CAMERA.baseline / DISPARITY
    np.testing.assert_allclose(floats(part.rig.last("depth/image_rect")), depth, rtol=1e-5)
    message = part.rig.last("disparity")
    np.testing.assert_allclose(floats(message.image), DISPARITY)
    assert (message.f * message.t) / DISPARITY == pytest.approx(depth)
    assert message.min_disparity == pytest.approx(CAMERA.fx * CAMERA.baseline / 50.0)
    assert part.rig.last("depth/camera_info").p[0] == pytest.approx(CAMERA.fx)


def test_destroyed_outputs_leave_no_topic(part):
    def topics() -> list[str]:
        names = (publisher.topic_name for publisher in part.node.publishers)
        return [n for n in names if any(n.endswith(f"/{topic}") for topic in OUTPUTS)]

    assert len(topics()) == len(OUTPUTS)
    part.outputs.destroy()
    assert topics() == []
