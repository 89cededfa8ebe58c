"""The node's publishers, and which of them have subscribers."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.output_messages import INFO_TOPIC, TOPICS
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoResult
from stereo_depth_ros.ros import qos
from stereo_depth_ros.ros.messages import camera_info_message, make_message

_KINDS = {
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/PointCloud2": PointCloud2,
    "stereo_msgs/msg/DisparityImage": DisparityImage,
}

TYPES: dict[str, type] = {topic.name: _KINDS[topic.type] for topic in TOPICS.values()}
TYPES[INFO_TOPIC] = CameraInfo
"""The type of every topic that is published, by its relative name."""


class StereoOutputs:
    """Publishes results; a message is made only for a topic that has subscribers."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers = {
            output: self._create(topic.name, TYPES[topic.name]) for output, topic in TOPICS.items()
        }
        self._info = self._create(INFO_TOPIC, CameraInfo)

    def _create(self, topic: str, kind: type) -> Any:
        create = self._node.create_lifecycle_publisher
        return qos.create_publisher(self._node, create, kind, topic, qos.OUTPUT)

    def list_subscribed(self) -> set[Output]:
        """Return the outputs that have subscribers."""
        return {o for o, p in self._publishers.items() if p.get_subscription_count() > 0}

    def has_subscribers(self) -> bool:
        """Whether anything published would be received, be it only the camera_info."""
        return bool(self.list_subscribed()) or self._info.get_subscription_count() > 0

    def publish_info(self, camera: StereoCamera, header: Header) -> None:
        """Publish the camera_info of the depth image, if it has subscribers."""
        if self._info.get_subscription_count() > 0:
            self._info.publish(camera_info_message(camera, header))

    def publish(self, result: StereoResult, header: Header) -> None:
        """Publish all that ``result`` holds under ``header``, that of the left image."""
        match = result.match
        self.publish_info(match.camera, header)
        for output, values in result.outputs.items():
            topic = TOPICS[output]
            message = make_message(TYPES[topic.name], topic.fill(values, match), header)
            self._publishers[output].publish(message)

    def destroy(self) -> None:
        """Remove every publisher."""
        for publisher in (*self._publishers.values(), self._info):
            self._node.destroy_lifecycle_publisher(publisher)
