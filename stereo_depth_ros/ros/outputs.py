"""The node's publishers, and which of them have subscribers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoResult
from stereo_depth_ros.ros import messages, qos
from stereo_depth_ros.stereo_match import StereoMatch


@dataclass(frozen=True)
class Topic:
    """Where an output goes: relative ``name``, type, and what fills a message of it.

    ``description`` says what the message holds, for the pages in doc/.
    """

    name: str
    type: type
    fill: Callable[[np.ndarray, StereoMatch, Header], Any]
    description: str


def _fill_map(values: np.ndarray, match: StereoMatch, header: Header) -> Image:
    return messages.map_message(values, header)


def _fill_disparity(values: np.ndarray, match: StereoMatch, header: Header) -> DisparityImage:
    return messages.disparity_message(values, match.camera, header, *_disparity_limits(match))


def _fill_points(values: np.ndarray, match: StereoMatch, header: Header) -> PointCloud2:
    return messages.point_cloud_message(values, header)


def _fill_free_space(values: np.ndarray, match: StereoMatch, header: Header) -> PointCloud2:
    return messages.free_space_message(values, header)


TOPICS = {
    Output.DEPTH: Topic(
        "depth/image_rect",
        Image,
        _fill_map,
        "32FC1, metres along the optical axis; NaN unknown, +Inf beyond `max_depth`, -Inf nearer "
        "than `min_depth`",
    ),
    Output.DEPTH_MM: Topic(
        "depth/image_rect_mm", Image, _fill_map, "16UC1, millimetres; 0 is no measurement"
    ),
    Output.DISPARITY: Topic(
        "disparity",
        DisparityImage,
        _fill_disparity,
        "pixels less the principal-point offset, so Z = f · t / d; unknown is -1, below "
        "`min_disparity`",
    ),
    Output.CONFIDENCE: Topic(
        "confidence/image",
        Image,
        _fill_map,
        "32FC1, 0 to 1, 1 is certain; NaN where the depth is unknown",
    ),
    Output.POINTS: Topic(
        "points",
        PointCloud2,
        _fill_points,
        "organized, x y z rgb, 16 bytes a point; NaN where there is no depth",
    ),
    Output.FREE_SPACE: Topic(
        "points/free_space",
        PointCloud2,
        _fill_free_space,
        "x y z, for clearing only: a point at `clearing_range` on every ray whose depth is known "
        "to be beyond `max_depth`",
    ),
}
"""Every output that is published."""

_INFO = "depth/camera_info"

TYPES: dict[str, type] = {t.name: t.type for t in TOPICS.values()} | {_INFO: CameraInfo}
"""The type of every topic that is published, by its relative name."""


class StereoOutputs:
    """Publishes results; a message is made only for a topic that has subscribers."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._publishers = {
            output: self._create(topic.name, topic.type) for output, topic in TOPICS.items()
        }
        self._info = self._create(_INFO, CameraInfo)

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
            self._info.publish(messages.camera_info_message(camera, header))

    def publish(self, result: StereoResult, header: Header) -> None:
        """Publish all that ``result`` holds under ``header``, that of the left image."""
        match = result.match
        self.publish_info(match.camera, header)
        for output, values in result.outputs.items():
            self._publishers[output].publish(TOPICS[output].fill(values, match, header))

    def destroy(self) -> None:
        """Remove every publisher."""
        for publisher in (*self._publishers.values(), self._info):
            self._node.destroy_lifecycle_publisher(publisher)


def _disparity_limits(match: StereoMatch) -> tuple[float, float]:
    """Least and largest valid disparity in px, from the depth limits and the search range."""
    focal_baseline = match.camera.fx * match.camera.baseline
    low = focal_baseline / match.settings.max_depth
    high = min(focal_baseline / match.settings.min_depth, match.max_disparity)
    return low, max(high, low + messages.DELTA_DISPARITY)
