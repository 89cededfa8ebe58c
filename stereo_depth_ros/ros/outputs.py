"""The node's publishers, and which of them have subscribers."""

from __future__ import annotations

from typing import Any

from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.pipeline import Output, StereoResult
from stereo_depth_ros.ros import messages, qos

_TOPICS = {
    Output.DEPTH: ("depth/image_rect", Image),
    Output.DEPTH_MM: ("depth/image_rect_mm", Image),
    Output.DISPARITY: ("disparity", DisparityImage),
    Output.CONFIDENCE: ("confidence/image", Image),
    Output.POINTS: ("points", PointCloud2),
    Output.FREE_SPACE: ("points/free_space", PointCloud2),
}


class StereoOutputs:
    """Publishes results; a message is made only for a topic that has subscribers."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers = {
            output: self._create(topic, kind) for output, (topic, kind) in _TOPICS.items()
        }
        self._info = self._create("depth/camera_info", CameraInfo)

    def _create(self, topic: str, kind: type) -> Any:
        create = self._node.create_lifecycle_publisher
        return qos.create_publisher(self._node, create, kind, topic, qos.OUTPUT)

    def subscribed(self) -> set[Output]:
        """Return the outputs that have subscribers."""
        return {o for o, p in self._publishers.items() if p.get_subscription_count() > 0}

    def has_subscribers(self) -> bool:
        """Whether anything published would be received, be it only the camera_info."""
        return bool(self.subscribed()) or self._info.get_subscription_count() > 0

    def publish_info(self, camera: StereoCamera, header: Header) -> None:
        """Publish the camera_info of the depth image, if it has subscribers."""
        if self._info.get_subscription_count() > 0:
            self._info.publish(messages.camera_info_message(camera, header))

    def publish(self, result: StereoResult, header: Header) -> None:
        """Publish all that ``result`` holds under ``header``, that of the left image."""
        self.publish_info(result.camera, header)
        to = self._publishers
        if result.depth is not None:
            to[Output.DEPTH].publish(messages.map_message(result.depth, header))
        if result.depth_mm is not None:
            to[Output.DEPTH_MM].publish(messages.map_message(result.depth_mm, header))
        if result.disparity is not None:
            low, high = _disparity_limits(result)
            to[Output.DISPARITY].publish(
                messages.disparity_message(result.disparity, result.camera, header, low, high)
            )
        if result.confidence is not None:
            to[Output.CONFIDENCE].publish(messages.map_message(result.confidence, header))
        if result.points is not None:
            to[Output.POINTS].publish(messages.coloured_cloud_message(result.points, header))
        if result.free_space is not None:
            to[Output.FREE_SPACE].publish(messages.bare_cloud_message(result.free_space, header))

    def destroy(self) -> None:
        """Remove every publisher."""
        for publisher in (*self._publishers.values(), self._info):
            self._node.destroy_lifecycle_publisher(publisher)


def _disparity_limits(result: StereoResult) -> tuple[float, float]:
    """Least and largest valid disparity in px, from the depth limits and the search range."""
    focal_baseline = result.camera.fx * result.camera.baseline
    low = focal_baseline / result.settings.max_depth
    high = min(focal_baseline / result.settings.min_depth, result.max_disparity)
    return low, max(high, low + messages.DELTA_DISPARITY)
