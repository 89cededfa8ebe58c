"""The node's subscriptions: two camera_infos, and two images while they are needed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from difflib import get_close_matches

from rclpy.lifecycle import LifecycleNode
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from stereo_depth_ros.info_geometry import RecentInfos, is_raw_topic
from stereo_depth_ros.ros import qos
from stereo_depth_ros.ros.diagnosing.statistics import Rate
from stereo_depth_ros.ros.diagnosing.watchdog import TopicState
from stereo_depth_ros.ros.stamp import stamp_ns
from stereo_depth_ros.stamps import LEFT, RIGHT
from stereo_depth_ros.synchronizer import Synchronizer


@dataclass(frozen=True)
class Frame:
    """A pair of images and, where they have arrived, the camera_infos that belong to them."""

    left: Image | CompressedImage
    right: Image | CompressedImage
    left_info: CameraInfo | None
    right_info: CameraInfo | None


@dataclass
class _Input:
    """One topic: ``name`` as the code gives it, before expansion and remapping."""

    name: str
    type: type
    rate: Rate = field(default_factory=Rate)
    received: int = 0
    subscriptions: list[Subscription] = field(default_factory=list)


class StereoInputs:
    """Subscribes to camera_info throughout, to the images from `subscribe` to `unsubscribe`.

    ``on_frame`` is called in the executor's thread with every pair.
    """

    def __init__(
        self,
        node: LifecycleNode,
        synchronizer: Synchronizer,
        image_transport: str,
        on_frame: Callable[[Frame], None],
    ) -> None:
        self._node = node
        self.synchronizer = synchronizer
        self._on_frame = on_frame
        compressed = image_transport == "compressed"
        suffix, image_type = ("/compressed", CompressedImage) if compressed else ("", Image)
        sides = ("left", "right")
        self._images = [_Input(f"{side}/image_rect{suffix}", image_type) for side in sides]
        self._infos = [_Input(f"{side}/camera_info", CameraInfo) for side in sides]
        self._recent_infos = RecentInfos()
        for side, info in zip((LEFT, RIGHT), self._infos, strict=True):
            self._subscribe(info, qos.INPUT, self._make_info_callback(side, info))

    @property
    def info_topics(self) -> tuple[str, str]:
        """Full names of the camera_info topics, (left, right)."""
        left, right = (self._node.resolve_topic_name(info.name) for info in self._infos)
        return left, right

    @property
    def is_raw(self) -> bool:
        """Whether the image topics' names say that the images are not rectified."""
        names = [self._node.resolve_topic_name(image.name) for image in self._images]
        return any(map(is_raw_topic, names))

    @property
    def is_subscribed(self) -> bool:
        """Whether the images are subscribed to."""
        return bool(self._images[0].subscriptions)

    def subscribe(self) -> None:
        """Subscribe to the images."""
        for side, image in zip((LEFT, RIGHT), self._images, strict=True):
            if not image.subscriptions:
                image.rate = Rate()
                self._subscribe(image, qos.INPUT, self._make_image_callback(side, image))

    def unsubscribe(self) -> None:
        """Drop the image subscriptions and the images that wait."""
        for image in self._images:
            self._drop(image)
        self.synchronizer.clear()

    def destroy(self) -> None:
        """Drop every subscription."""
        for source in (*self._images, *self._infos):
            self._drop(source)

    def subscribe_latched(self) -> None:
        """Subscribe anew to a camera_info that its driver sends once and latched, if none came yet.

        Only to such a one: any other driver would not fit, and log that as a warning.
        """
        for side, info in zip((LEFT, RIGHT), self._infos, strict=True):
            if info.received:
                continue
            publishers = self._node.get_publishers_info_by_topic(info.name)
            latched = any(qos.is_latched(p.qos_profile) for p in publishers)
            if latched and len(info.subscriptions) == 1:
                self._subscribe(
                    info, qos.LATCHED_INPUT, self._make_info_callback(side, info, False)
                )

    def read_states(self) -> list[TopicState]:
        """Return the state of each input: left image, right image, left info, right info."""
        images = [self._read_state(image, streams=True) for image in self._images]
        return images + [self._read_state(info, streams=False) for info in self._infos]

    @property
    def hz(self) -> float:
        """Pairs per second that both cameras send, 0 while that is not known."""
        return min(image.rate.hz for image in self._images)

    def _read_state(self, source: _Input, streams: bool) -> TopicState:
        # By the name before remapping, since this look-up remaps as well.
        publishers = self._node.get_publishers_info_by_topic(source.name)
        type_name = source.type.__module__.split(".")[0] + "/msg/" + source.type.__name__
        of_type = [p for p in publishers if p.topic_type == type_name]
        requested = source.subscriptions[0].qos_profile if source.subscriptions else qos.INPUT
        reasons = [qos.find_mismatch(p.qos_profile, requested) for p in of_type]
        name = self._node.resolve_topic_name(source.name)
        return TopicState(
            name=name,
            type=type_name,
            publishers=len(of_type),
            other_types=tuple(sorted({p.topic_type for p in publishers} - {type_name})),
            incompatible=tuple(r for r in reasons if r),
            hz=source.rate.hz,
            silence=source.rate.silence if streams else 0.0,
            received=source.received,
            alternatives=() if of_type else self._find_similar(name, type_name),
        )

    def _find_similar(self, missing: str, type_name: str) -> tuple[str, ...]:
        """Return other nodes' topics of type ``type_name`` whose names resemble ``missing``."""
        topics = self._node.get_topic_names_and_types()
        candidates = [name for name, types in topics if type_name in types and name != missing]
        close = get_close_matches(missing, candidates, 12, 0.3)
        return tuple(name for name in close if not self._is_ours(name))[:4]

    def _is_ours(self, topic: str) -> bool:
        name, namespace = self._node.get_name(), self._node.get_namespace()
        return any(
            p.node_name == name and p.node_namespace == namespace
            for p in self._node.get_publishers_info_by_topic(topic)
        )

    def _make_image_callback(
        self, side: int, image: _Input
    ) -> Callable[[Image | CompressedImage], None]:
        def receive(message: Image | CompressedImage) -> None:
            image.rate.tick()
            image.received += 1
            pair = self.synchronizer.add(side, stamp_ns(message), message)
            if pair is not None:
                infos = self._recent_infos.find(pair.left, pair.right)
                self._on_frame(Frame(pair.left, pair.right, *infos))

        return receive

    def _make_info_callback(
        self, side: int, info: _Input, is_first: bool = True
    ) -> Callable[[CameraInfo], None]:
        def receive(message: CameraInfo) -> None:
            if is_first:
                info.rate.tick()
            info.received += 1
            self._recent_infos.add(side, message)

        return receive

    def _subscribe(
        self, source: _Input, profile: QoSProfile, callback: Callable[..., None]
    ) -> None:
        source.subscriptions.append(
            qos.create_subscription(self._node, source.type, source.name, callback, profile)
        )

    def _drop(self, source: _Input) -> None:
        for subscription in source.subscriptions:
            self._node.destroy_subscription(subscription)
        source.subscriptions.clear()
