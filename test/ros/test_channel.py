"""One camera in one real node: from its images to depth, and nothing left of it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

import rclpy
from fakes import EncodedEngine, encode
from rclpy.lifecycle import LifecycleNode
from rclpy.parameter import Parameter
from rig import Rig, floats

from stereo_depth_ros.ros import parameters
from stereo_depth_ros.ros.channel import Channel
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.parameter_table import PARAMETERS
from stereo_depth_ros.ros.worker import LatestWorker

NAMESPACE = "/channel"
PLANE = encode(np.full((48, 64), 25.0))
VALUES = {p.name: p.default for p in PARAMETERS}


def topics(node: LifecycleNode) -> set[str]:
    ends = (*node.publishers, *node.subscriptions)
    own = ("/channel/left", "/channel/right", "/channel/depth", "/channel/disparity")
    return {end.topic_name for end in ends if end.topic_name.startswith(own)}


@pytest.fixture
def node(dds) -> Iterator[LifecycleNode]:
    node = LifecycleNode("channel_test", namespace=NAMESPACE)
    yield node
    node.destroy_node()


@pytest.fixture
def part(node) -> Iterator[SimpleNamespace]:
    """An active channel whose frames go to a worker, and a rig that faces it."""
    worker: LatestWorker = LatestWorker(lambda frame: channel.processor(frame), "channel test")
    log = ThrottledLog(node.get_logger())
    channel = Channel(node, VALUES, EncodedEngine(), worker, log)
    node.trigger_configure()
    node.trigger_activate()
    channel.activate()
    rig = Rig(NAMESPACE)
    yield SimpleNamespace(node=node, channel=channel, rig=rig)
    worker.close()
    channel.release()
    rig.destroy_node()


def show_until(part: SimpleNamespace, condition) -> bool:
    """Send pairs to the channel, whose timer this is, until ``condition`` holds."""

    def step() -> bool:
        part.rig.show(PLANE)
        part.channel.update_subscriptions()
        for _ in range(4):
            rclpy.spin_once(part.node, timeout_sec=0.005)
        return condition()

    return part.rig.until(step)


def test_pairs_become_depth_while_it_has_subscribers(part):
    assert show_until(part, lambda: True)
    assert not part.channel.inputs.is_subscribed

    part.rig.subscribe("depth/image_rect")
    assert show_until(part, lambda: part.rig.received["depth/image_rect"])
    # 50 px m by 25 px
    np.testing.assert_allclose(floats(part.rig.last("depth/image_rect")), 2.0, atol=1e-3)
    counts = part.channel.statistics.counts
    assert 0 < counts["published"] <= counts["pairs"]
    assert counts["failed"] == 0
    assert show_until(part, lambda: part.channel.period_ms > 0)
    assert part.channel.period_ms == pytest.approx(1e3 / part.channel.inputs.hz, rel=0.2)

    part.rig.unsubscribe()
    assert show_until(part, lambda: not part.channel.inputs.is_subscribed)


def test_parameters_act_on_the_next_frames(part):
    part.channel.apply(VALUES | {"max_depth": 1.0, "max_rate": 2.0})
    assert part.channel.max_rate == 2.0

    part.rig.subscribe("depth/image_rect")
    assert show_until(part, lambda: part.channel.statistics.counts["limited"] > 2)
    assert show_until(part, lambda: part.rig.received["depth/image_rect"])
    assert np.isposinf(floats(part.rig.last("depth/image_rect"))).all()


def test_contradictory_parameters_change_nothing(part):
    with pytest.raises(ValueError, match="min_depth"):
        part.channel.apply(VALUES | {"min_depth": 60.0, "max_rate": 2.0})
    assert part.channel.max_rate == 0.0
    assert part.channel.processor.pipeline.settings == parameters.settings_from(VALUES)


def test_released_channel_leaves_no_topic(part):
    part.channel.inputs.subscribe()
    assert len(topics(part.node)) == 8
    part.channel.release()
    assert topics(part.node) == set()


def test_channel_that_cannot_be_made_leaves_no_topic(dds):
    name = "qos_overrides./channel/right/image_rect.subscription.reliability"
    node = LifecycleNode(
        "channel_test", namespace=NAMESPACE, parameter_overrides=[Parameter(name, value="nonsense")]
    )
    worker: LatestWorker = LatestWorker(print, "channel test")
    try:
        with pytest.raises(RuntimeError, match="nonsense"):
            Channel(node, VALUES, EncodedEngine(), worker, ThrottledLog(node.get_logger()))
        assert topics(node) == set()
    finally:
        worker.close()
        node.destroy_node()
