"""What is written into a bag is, bit for bit, what the node publishes for the same messages."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
pytest.importorskip("rosbags", reason="needs rosbags")

import rclpy
from bags import INFOS, PERIOD_NS, START_NS, TOPICS, list_events, write_bag
from rclpy.lifecycle import LifecycleNode
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.rosbag2 import Reader
from sensor_msgs.msg import CameraInfo, Image

from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.ros.channel import Channel
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.outputs import TYPES
from stereo_depth_ros.ros.parameter_table import PARAMETERS
from stereo_depth_ros.ros.worker import LatestWorker
from stereo_depth_ros.stamps import LEFT, RIGHT

OUTPUTS = ("depth", "depth_mm", "disparity", "confidence", "points", "free_space")


class Publisher:
    """Stands in for one of rclpy, so that nothing is lost on the way: it keeps what it is given."""

    def __init__(self) -> None:
        self.messages: list[Any] = []

    def publish(self, message: Any) -> None:
        self.messages.append(message)

    def get_subscription_count(self) -> int:
        return 1


@pytest.fixture
def channel_of() -> Iterator[Any]:
    """Make a real channel, of whose publishers each hands on what it would send."""
    context = rclpy.Context()  # of its own, as other tests of this process have the default one
    rclpy.init(context=context)
    node = LifecycleNode("equality", namespace="/equality", context=context)
    made = []

    def make(changes: dict[str, Any]) -> SimpleNamespace:
        worker: LatestWorker = LatestWorker(print, "equality")
        values = {p.name: p.default for p in PARAMETERS} | changes
        log = ThrottledLog(node.get_logger())
        channel = Channel(node, values, open_engine("sgbm"), worker, log)
        made.append((channel, worker))
        publishers: dict[str, Publisher] = {}
        for output, publisher in list(channel.outputs._publishers.items()):
            name = publisher.topic_name.removeprefix("/equality/")
            node.destroy_lifecycle_publisher(publisher)
            channel.outputs._publishers[output] = publishers[name] = Publisher()
        node.destroy_lifecycle_publisher(channel.outputs._info)
        channel.outputs._info = publishers["depth/camera_info"] = Publisher()
        # Every pair, where the node would take the newest.
        channel.inputs._on_frame = channel.processor
        return SimpleNamespace(channel=channel, publishers=publishers)

    yield make
    for channel, worker in made:
        worker.close()
        for source in (*channel.inputs._images, *channel.inputs._infos):
            channel.inputs._drop(source)
    node.destroy_node()
    context.try_shutdown()


def play(source, channel) -> None:
    """Hand the messages of a bag to the callbacks of the node's subscriptions, in order."""
    inputs = channel.inputs
    callbacks: dict[str, Any] = {}
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        image, info = inputs._images[side], inputs._infos[side]
        callbacks[TOPICS[name]] = Image, inputs._make_image_callback(side, image)
        callbacks[INFOS[name]] = CameraInfo, inputs._make_info_callback(side, info)
    with Reader(source) as reader:
        for connection, _, raw in reader.messages():
            kind, receive = callbacks[connection.topic]
            receive(deserialize_message(bytes(raw), kind))


def read(path) -> dict[str, list[Any]]:
    """Return the messages of a bag as rclpy reads them."""
    content: dict[str, list[Any]] = {}
    with Reader(path) as reader:
        for connection, _, raw in reader.messages():
            name = connection.topic.strip("/")
            content.setdefault(name, []).append(deserialize_message(bytes(raw), TYPES[name]))
    return content


def send(messages: list[Any]) -> list[Any]:
    """Return messages as they arrive, their numbers as wide as on the network."""
    return [deserialize_message(serialize_message(one), type(one)) for one in messages]


def raw_infos():
    """Cameras with lenses that bend, so that the node rectifies."""
    return {"d": np.array([-0.1, 0.02, 0.001, -0.001, 0.0])}


def deepen(views):
    """Images of 16 bits that get darker."""
    grey = [[cv2.cvtColor(i, cv2.COLOR_RGB2GRAY).astype(np.uint16) for i in pair] for pair in views]
    return [tuple(image * (250 - 15 * k) for image in pair) for k, pair in enumerate(grey)]


@pytest.mark.parametrize("form", ["rectified", "raw", "16 bits", "missing and refused"])
@pytest.mark.parametrize("workers", [1, 2])
def test_a_bag_processed_offline_is_what_the_node_publishes(
    run, views, channel_of, tmp_path, form, workers
):
    events = list_events(deepen(views) if form == "16 bits" else views)
    options: list[str] = ["--max-depth", "12", "--edge-filter", "2", "--confidence", "0.1"]
    changes = {"max_depth": 12.0, "edge_filter": 2.0, "confidence_threshold": 0.1}
    if form == "raw":
        for event in events:
            event.changes.update(raw_infos())
        options += ["--rectify", "always"]
        changes["rectify"] = "always"
    if form == "missing and refused":
        # One view in both eyes at first, a lost image, infos that come late.
        mirrored = [pair if k > 2 else (pair[0], pair[0]) for k, pair in enumerate(views)]
        events = [e for e in list_events(mirrored) if e.value is not None or e.stamp_ns > START_NS]
        lost = TOPICS["left"], START_NS + 5 * PERIOD_NS
        events = [e for e in events if (e.topic, e.stamp_ns) != lost]
    source = write_bag(tmp_path / "in", events)
    part = channel_of(changes)

    play(source, part.channel)
    command = (source, "-o", tmp_path / "out", "--workers", workers, "--outputs", *OUTPUTS)
    outcome = run(*command, *options)

    assert outcome.status == 0, outcome.err
    content = read(tmp_path / "out")
    published = {name: send(p.messages) for name, p in part.publishers.items()}
    assert content.keys() == TYPES.keys()
    counts = part.channel.statistics.counts
    assert counts["failed"] == (3 if form == "missing and refused" else 0)
    assert f"{counts['published']} pairs with depth, {counts['failed']} skipped" in outcome.out
    for name, messages in published.items():
        assert len(messages) == counts["published"] > 0
        # Unlike arrays of numbers, messages of bytes compare NaN with NaN.
        assert content[name] == messages, name
