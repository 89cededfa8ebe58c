from __future__ import annotations

import sys

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from geometry_msgs.msg import TransformStamped
from rclpy.node import Node

from stereo_depth_ros.ros.tf_baseline import TfBaseline


@pytest.fixture
def node(dds):
    node = Node("tf_baseline_test")
    yield node
    node.destroy_node()


def test_one_frame_has_no_baseline_and_asks_nobody(node):
    topics = len(list(node.subscriptions))

    assert TfBaseline(node)("left", "left") is None
    assert len(list(node.subscriptions)) == topics


def test_baseline_is_unknown_without_tf2_ros(node, monkeypatch):
    monkeypatch.setitem(sys.modules, "tf2_ros", None)
    baseline = TfBaseline(node)

    assert baseline("left", "right") is None
    baseline.close()


def test_baseline_is_the_distance_of_the_frames_once_tf_has_them(node):
    pytest.importorskip("tf2_ros", reason="needs ROS 2's tf2_ros")
    baseline = TfBaseline(node)
    assert baseline("left", "right") is None

    transform = TransformStamped(child_frame_id="right")
    transform.header.frame_id = "left"
    transform.transform.translation.x, transform.transform.translation.y = 0.12, 0.05
    transform.transform.rotation.w = 1.0
    baseline._buffer.set_transform_static(transform, "test")

    assert baseline("left", "right") == pytest.approx(0.13)
    assert baseline("right", "left") == pytest.approx(0.13)
    baseline.close()
