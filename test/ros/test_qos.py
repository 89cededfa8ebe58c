"""QoS of real topics: what fits, what is overridden, and that a misfit is logged."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

import rclpy
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo

from stereo_depth_ros.ros import qos

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture
def made(dds):
    """make(**parameters): a node that is removed after the test."""
    nodes = []

    def make(**parameters: object) -> Node:
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        nodes.append(Node("qos_test", namespace="/qos", parameter_overrides=overrides))
        return nodes[-1]

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.mark.parametrize("offered", [BEST_EFFORT, RELIABLE, LATCHED])
def test_inputs_take_every_publisher(offered):
    assert qos.find_mismatch(offered, qos.INPUT) is None


@pytest.mark.parametrize("requested", [BEST_EFFORT, RELIABLE])
def test_outputs_serve_every_volatile_subscriber(requested):
    assert qos.find_mismatch(qos.OUTPUT, requested) is None


@pytest.mark.parametrize(
    ("offered", "requested", "policy"),
    [(BEST_EFFORT, RELIABLE, "Best effort"), (qos.OUTPUT, qos.LATCHED_INPUT, "Volatile")],
)
def test_policy_that_does_not_fit_is_named(offered, requested, policy):
    assert policy in qos.find_mismatch(offered, requested)


def test_latched_publishers_are_told_from_others():
    assert qos.is_latched(LATCHED)
    assert not qos.is_latched(RELIABLE)


def test_user_overrides_the_qos_of_either_side(made):
    node = made(
        **{
            "qos_overrides./qos/in.subscription.depth": 7,
            "qos_overrides./qos/out.publisher.reliability": "best_effort",
        }
    )
    subscription = qos.create_subscription(node, CameraInfo, "in", print, qos.INPUT)
    publisher = qos.create_publisher(node, node.create_publisher, CameraInfo, "out", qos.OUTPUT)

    assert subscription.qos_profile.depth == 7
    assert publisher.qos_profile.reliability == ReliabilityPolicy.BEST_EFFORT


def test_misfits_of_both_sides_are_logged(made, capfd):
    node = made()
    qos.create_subscription(node, CameraInfo, "t", print, RELIABLE)
    qos.create_publisher(node, node.create_publisher, CameraInfo, "t", BEST_EFFORT)

    logged = ""
    deadline = time.monotonic() + 20.0
    while logged.count("policy RELIABILITY") < 2 and time.monotonic() < deadline:
        rclpy.spin_once(node, timeout_sec=0.1)
        logged += capfd.readouterr().err

    assert "/qos/t: a publisher offers a QoS that this subscription cannot take" in logged
    assert "qos_overrides./qos/t.publisher.*" in logged
