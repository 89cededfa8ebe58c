"""The node's subscriptions: two images and two camera_infos, heard only while wanted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches

from rclpy.lifecycle import LifecycleNode
from rclpy.qos_overriding_options import QoSOverridingOptions
from rclpy.subscription import Subscription
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from stereo_depth_ros.ros import qos
from stereo_depth_ros.ros.statistics import Rate
from stereo_depth_ros.ros.synchronizer import LEFT, RIGHT, Pair, PairSynchronizer
from stereo_depth_ros.ros.watchdog import TopicState

StereoPair = Pair[Image | CompressedImage]


@dataclass
class _Input:
    name: str
    type: type
    rate: Rate
    received: int = 0
    subscription: Subscription | None = None


class StereoInputs:
    """Subscribes to the images only between `open` and `close`; camera_info is heard throughout.

    ``on_pair`` is called in the executor's thread with every pair. ``infos`` holds the newest
    camera_info of (left, right).
    """

    def __init__(
        self,
        node: LifecycleNode,
        synchronizer: PairSynchronizer,
        image_transport: str,
        on_pair: Callable[[StereoPair], None],
    ) -> None:
        self._node = node
        self.synchronizer = synchronizer
        self._on_pair = on_pair
        self.infos: list[CameraInfo | None] = [None, None]
        suffix, image_type = (
            ("/compressed", CompressedImage) if image_transport == "compressed" else ("", Image)
        )
        self._images = [
            _Input(node.resolve_topic_name(f"{side}/image_rect") + suffix, image_type, Rate())
            for side in ("left", "right")
        ]
        self._infos = [
            _Input(node.resolve_topic_name(f"{side}/camera_info"), CameraInfo, Rate())
            for side in ("left", "right")
        ]
        for side, info in zip((LEFT, RIGHT), self._infos, strict=True):
            self._subscribe(info, qos.INFO_INPUT, self._info_callback(side, info))

    @property
    def info_topics(self) -> tuple[str, str]:
        """Full names of the camera_info topics, (left, right)."""
        return self._infos[0].name, self._infos[1].name

    @property
    def are_raw(self) -> bool:
        """Whether the image topics' names say that the images are not rectified."""
        return not any("rect" in image.name for image in self._images)

    @property
    def is_open(self) -> bool:
        """Whether the images are subscribed to."""
        return self._images[0].subscription is not None

    def open(self) -> None:
        """Subscribe to the images."""
        for side, image in zip((LEFT, RIGHT), self._images, strict=True):
            if image.subscription is None:
                self._subscribe(image, qos.INPUT, self._image_callback(side, image))

    def close(self) -> None:
        """Drop the image subscriptions."""
        for image in self._images:
            self._drop(image)

    def destroy(self) -> None:
        """Drop every subscription."""
        self.close()
        for info in self._infos:
            self._drop(info)

    def states(self) -> list[TopicState]:
        """Return what is known of each input: its publishers and what came of them."""
        return [self._state(i) for i in (*self._images, *self._infos)]

    def _state(self, source: _Input) -> TopicState:
        publishers = self._node.get_publishers_info_by_topic(source.name)
        wanted = source.type.__module__.split(".")[0] + "/msg/" + source.type.__name__
        of_type = [p for p in publishers if p.topic_type == wanted]
        requested = source.subscription.qos_profile if source.subscription else qos.INPUT
        reasons = [qos.mismatch(p.qos_profile, requested) for p in of_type]
        return TopicState(
            name=source.name,
            type=wanted,
            publishers=len(of_type),
            other_types=tuple(sorted({p.topic_type for p in publishers} - {wanted})),
            incompatible=tuple(r for r in reasons if r),
            hz=source.rate.hz,
            received=source.received,
            alternatives=() if of_type else self._similar(source.name, wanted),
        )

    def _similar(self, missing: str, wanted: str) -> tuple[str, ...]:
        """Return other nodes' topics of type ``wanted`` whose names resemble ``missing``."""
        topics = self._node.get_topic_names_and_types()
        candidates = [name for name, types in topics if wanted in types and name != missing]
        close = get_close_matches(missing, candidates, 12, 0.3)
        return tuple(name for name in close if not self._is_ours(name))[:4]

    def _is_ours(self, topic: str) -> bool:
        name, namespace = self._node.get_name(), self._node.get_namespace()
        return any(
            p.node_name == name and p.node_namespace == namespace
            for p in self._node.get_publishers_info_by_topic(topic)
        )

    def _image_callback(
        self, side: int, image: _Input
    ) -> Callable[[Image | CompressedImage], None]:
        def received(message: Image | CompressedImage) -> None:
            image.rate.tick()
            image.received += 1
            pair = self.synchronizer.add(side, _nanoseconds(message), message)
            if pair is not None:
                self._on_pair(pair)

        return received

    def _info_callback(self, side: int, info: _Input) -> Callable[[CameraInfo], None]:
        def received(message: CameraInfo) -> None:
            info.rate.tick()
            info.received += 1
            self.infos[side] = message

        return received

    def _subscribe(
        self, source: _Input, profile: qos.QoSProfile, callback: Callable[..., None]
    ) -> None:
        source.subscription = self._node.create_subscription(
            source.type,
            source.name,
            callback,
            profile,
            event_callbacks=qos.SubscriptionEventCallbacks(
                incompatible_qos=lambda event: self._node.get_logger().error(
                    f"{source.name}: a publisher offers a QoS that this subscription cannot take "
                    f"(policy {event.last_policy_kind!s}); change it at the camera or with "
                    f"qos_overrides.{source.name}.subscription.*"
                )
            ),
            qos_overriding_options=QoSOverridingOptions.with_default_policies(),
        )

    def _drop(self, source: _Input) -> None:
        if source.subscription is not None:
            self._node.destroy_subscription(source.subscription)
            source.subscription = None


def _nanoseconds(message: Image | CompressedImage) -> int:
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec
