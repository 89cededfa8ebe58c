"""What subscriptions of a real node make of what a camera publishes."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.qos import DurabilityPolicy, QoSProfile
from rig import RELIABLE, Rig, info
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from stereo_depth_ros.ros.images import encode
from stereo_depth_ros.ros.inputs import StereoInputs
from stereo_depth_ros.synchronizer import PairSynchronizer

LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
NAMESPACE = "/inputs"
GREY = np.full((24, 32, 3), 90, np.uint8)


@pytest.fixture
def made(dds) -> Iterator:
    """make(transport, *arguments): a node, its inputs and the frames that they pass on."""
    nodes = []

    def make(transport: str = "raw", *arguments: str) -> SimpleNamespace:
        cli_args = ["--ros-args", *arguments] if arguments else None
        node = LifecycleNode("inputs_test", namespace=NAMESPACE, cli_args=cli_args)
        nodes.append(node)
        frames: list = []
        inputs = StereoInputs(node, PairSynchronizer(), transport, frames.append)
        return SimpleNamespace(node=node, inputs=inputs, frames=frames)

    yield make
    for node in nodes:
        node.destroy_node()


@pytest.fixture
def rig(dds) -> Iterator[Rig]:
    rig = Rig(NAMESPACE, RELIABLE)
    yield rig
    rig.destroy_node()


def topics(node: LifecycleNode) -> dict[str, type]:
    return {
        s.topic_name.removeprefix(f"{NAMESPACE}/"): s.msg_type
        for s in node.subscriptions
        if s.topic_name.startswith(f"{NAMESPACE}/")
    }


INFOS = {"left/camera_info": CameraInfo, "right/camera_info": CameraInfo}


@pytest.mark.parametrize(
    ("transport", "suffix", "kind"),
    [("raw", "", Image), ("compressed", "/compressed", CompressedImage)],
)
def test_images_are_subscribed_to_between_subscribe_and_unsubscribe(made, transport, suffix, kind):
    part = made(transport)
    assert (topics(part.node), part.inputs.is_subscribed) == (INFOS, False)

    part.inputs.subscribe()
    images = {f"{side}/image_rect{suffix}": kind for side in ("left", "right")}
    assert (topics(part.node), part.inputs.is_subscribed) == (INFOS | images, True)

    part.inputs.unsubscribe()
    assert (topics(part.node), part.inputs.is_subscribed) == (INFOS, False)

    part.inputs.subscribe()
    part.inputs.destroy()
    assert topics(part.node) == {}


@pytest.mark.parametrize(
    ("target", "is_raw"),
    [("cam/image_rect", False), ("rectified/image", False), ("cam/image_raw", True)],
)
def test_images_are_raw_unless_their_topic_says_rect(made, target, is_raw):
    part = made("raw", "-r", f"left/image_rect:={target}")
    assert part.inputs.is_raw == is_raw


def test_info_topics_are_full_names_after_remapping(made):
    part = made("raw", "-r", "left/camera_info:=/cam/info")
    assert part.inputs.info_topics == ("/cam/info", "/inputs/right/camera_info")


def test_frame_holds_the_pair_and_the_infos_of_its_stamp(made, rig):
    part = made()
    part.inputs.subscribe()
    sent = []

    def arrived() -> bool:
        sent.append(rig.show(GREY))
        rclpy.spin_once(part.node, timeout_sec=0.01)
        complete = [f for f in part.frames if f.left_info is not None and f.right_info is not None]
        return len(complete) > 2

    assert rig.until(arrived)
    frame = part.frames[-1]
    stamps = [m.header.stamp for m in (frame.left, frame.right, frame.left_info, frame.right_info)]
    assert all(stamp == stamps[0] for stamp in stamps[:2])
    assert stamps[0] in sent
    assert (frame.left_info.p[3], frame.right_info.p[3]) == (0.0, -50.0)
    np.testing.assert_array_equal(np.frombuffer(frame.left.data, np.uint8), GREY.ravel())


def test_latched_camera_info_is_received_once_it_is_asked_for(made, rig):
    part = made()
    driver = LifecycleNode("driver", namespace=NAMESPACE)
    try:
        for side in ("left", "right"):
            calibration = info(32, 24, right=side == "right")
            driver.create_publisher(CameraInfo, f"{side}/camera_info", LATCHED).publish(calibration)
        part.inputs.subscribe()
        image = encode(GREY, "rgb8")

        def arrived() -> bool:
            part.inputs.subscribe_latched()
            rig.send(image, image, None)
            rclpy.spin_once(part.node, timeout_sec=0.01)
            return any(f.left_info is not None and f.right_info is not None for f in part.frames)

        assert rig.until(arrived)
        assert part.frames[-1].right_info.p[3] == -50.0
    finally:
        driver.destroy_node()


def test_states_tell_publishers_types_and_what_arrived(made, rig):
    part = made("compressed")
    part.inputs.subscribe()

    def arrived() -> bool:
        rig.show(GREY)
        rclpy.spin_once(part.node, timeout_sec=0.01)
        return all(state.received > 2 for state in part.inputs.read_states()[2:])

    assert rig.until(arrived)
    left, right, left_info, right_info = part.inputs.read_states()
    assert left.name == "/inputs/left/image_rect/compressed"
    assert (left.type, left.publishers, left.received) == (
        "sensor_msgs/msg/CompressedImage",
        0,
        0,
    )
    assert right.silence > 0
    assert (left_info.name, left_info.type) == (
        "/inputs/left/camera_info",
        "sensor_msgs/msg/CameraInfo",
    )
    assert (right_info.publishers, right_info.incompatible, right_info.silence) == (1, (), 0.0)
    assert left_info.hz > 0


def test_similar_topics_of_the_type_are_named(made, rig):
    part = made("raw", "-r", "left/image_rect:=left/image_rekt")

    assert rig.until(
        lambda: "/inputs/left/image_rect" in part.inputs.read_states()[0].alternatives, 10.0
    )
