"""The test's own camera and subscriber, facing a node process over DDS."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.node import Node
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.time import Time
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.ros.images import encode

BEST_EFFORT = QoSProfile(depth=5, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE)
FRAME = "left_optical"
TRUTH = "truth/depth/image_rect"
OUTPUTS = {
    "depth/image_rect": Image,
    "depth/camera_info": CameraInfo,
    "depth/image_rect_mm": Image,
    "disparity": DisparityImage,
    "confidence/image": Image,
    "points": PointCloud2,
    "points/free_space": PointCloud2,
}


def info(
    width: int,
    height: int,
    focal: float = 100.0,
    baseline: float = 0.5,
    right: bool = False,
    offset: float = 0.0,
) -> CameraInfo:
    """Return a rectified camera_info; focal * baseline is 50 px m unless said otherwise."""
    cx, cy = (width - 1) / 2 - (offset if right else 0.0), (height - 1) / 2
    tx = -focal * baseline if right else 0.0
    message = CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5)
    message.k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    message.p = [focal, 0.0, cx, tx, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def floats(message: Image) -> np.ndarray:
    """Return the values of a 32FC1 image."""
    assert message.encoding == "32FC1"
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


class Rig(Node):
    """Sends pairs and receives outputs in ``namespace``, under the names that the node uses."""

    def __init__(
        self, namespace: str, qos: QoSProfile = BEST_EFFORT, has_camera: bool = True
    ) -> None:
        super().__init__("rig", namespace=namespace)
        self.received: dict[str, list[Any]] = defaultdict(list)
        self.diagnostics: dict[str, Any] = {}
        self.frame_id = FRAME
        self._mine = namespace.strip("/") + "/stereo_depth_node: "
        self._send = {
            topic: self.create_publisher(kind, topic, qos)
            for topic, kind in (
                ("left/image_rect", Image),
                ("right/image_rect", Image),
                ("left/camera_info", CameraInfo),
                ("right/camera_info", CameraInfo),
            )
            if has_camera
        }
        self._subscribed: dict[str, Any] = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self._on_diagnostics, 10)

    def _on_diagnostics(self, message: DiagnosticArray) -> None:
        for status in message.status:
            if status.name.startswith(self._mine):
                self.diagnostics[status.name.removeprefix(self._mine)] = status

    def says(self, subject: str) -> str:
        """Return the node's newest diagnostic message of a subject, empty before the first."""
        return self.diagnostics[subject].message if subject in self.diagnostics else ""

    def reports(self, subject: str) -> dict[str, str]:
        """Return the newest values of a diagnostic subject."""
        status = self.diagnostics.get(subject)
        return {v.key: v.value for v in status.values} if status else {}

    def subscribe(self, *topics: str, qos: QoSProfile = BEST_EFFORT) -> None:
        """Subscribe to outputs and forget what was received."""
        for topic in topics:
            if topic not in self._subscribed:
                self._subscribed[topic] = self.create_subscription(
                    OUTPUTS.get(topic, Image), topic, self.received[topic].append, qos
                )
        for messages in self.received.values():
            messages.clear()

    def unsubscribe(self) -> None:
        """Drop every output subscription."""
        for subscription in self._subscribed.values():
            self.destroy_subscription(subscription)
        self._subscribed.clear()

    def until(self, condition: Callable[[], Any], seconds: float = 30.0) -> bool:
        """Receive until ``condition``, evaluated at 30 Hz, holds; return whether it did in time."""
        deadline = time.monotonic() + seconds
        while not condition():
            now = time.monotonic()
            if now > deadline:
                return False
            while time.monotonic() < now + 0.033:
                rclpy.spin_once(self, timeout_sec=0.01)
        return True

    def send(
        self,
        left: Image,
        right: Image,
        infos: tuple[CameraInfo, CameraInfo] | None,
        skew: float = 0.0,
    ) -> Any:
        """Send one pair stamped now, the right one ``skew`` s later; return the left stamp."""
        now = self.get_clock().now()
        later = now + rclpy.duration.Duration(seconds=skew)
        messages = {"left/image_rect": (left, now), "right/image_rect": (right, later)}
        if infos is not None:
            calibrated = {
                "left/camera_info": (infos[0], now),
                "right/camera_info": (infos[1], later),
            }
            messages = {**calibrated, **messages}
        for topic, (message, stamp) in messages.items():
            message.header.stamp = stamp.to_msg()
            message.header.frame_id = self.frame_id
            self._send[topic].publish(message)
        return now.to_msg()

    def send_stamped(
        self, left: Image, right: Image, infos: tuple[CameraInfo, CameraInfo], stamp: Any
    ) -> None:
        """Send one pair of which everything is stamped ``stamp``."""
        for side, image, calibration in zip(("left", "right"), (left, right), infos, strict=True):
            image.header.stamp = calibration.header.stamp = stamp
            self._send[f"{side}/camera_info"].publish(calibration)
            self._send[f"{side}/image_rect"].publish(image)

    def send_unstamped(self, image: Image, infos: tuple[CameraInfo, CameraInfo]) -> None:
        """Send a pair as a driver does that never sets header.stamp."""
        self.send_stamped(image, image, infos, Time().to_msg())

    def show(
        self, left: np.ndarray, encoding: str = "rgb8", offset: float = 0.0, skew: float = 0.0
    ) -> Any:
        """Send ``left`` and a grey right image of its size; return the stamp."""
        height, width = left.shape[:2]
        infos = (info(width, height), info(width, height, right=True, offset=offset))
        grey = np.full_like(left, 50)
        return self.send(encode(left, encoding), encode(grey, encoding), infos, skew)

    def show_until_received(self, left: np.ndarray, *topics: str, **options: Any) -> Any:
        """Send until every topic carries one of these frames; return its stamp."""
        self.subscribe(*topics)
        sent = set()

        def arrived() -> bool:
            stamp = self.show(left, **options)
            sent.add((stamp.sec, stamp.nanosec))
            last = [
                self.received[topic][-1].header.stamp for topic in topics if self.received[topic]
            ]
            arrivals = {(stamp.sec, stamp.nanosec) for stamp in last}
            # Results of what was sent before may still be on their way.
            return len(last) == len(topics) and len(arrivals) == 1 and arrivals <= sent

        assert self.until(arrived, 30.0), (
            f"received only {sorted(k for k, v in self.received.items() if v)}"
        )
        return self.last(topics[0]).header.stamp

    def last(self, topic: str) -> Any:
        """Return the newest message received on ``topic``."""
        return self.received[topic][-1]

    def call(self, kind: type, name: str, request: Any) -> Any:
        """Call a service of the node and return its response."""
        client = self.create_client(kind, f"stereo_depth_node/{name}")
        assert client.wait_for_service(15.0), f"no service {name}"
        # The way back may be matched a little later than the way there.
        self.until(lambda: False, 0.2)
        future = client.call_async(request)
        assert self.until(future.done, 20.0), f"service {name} does not answer"
        self.destroy_client(client)
        return future.result()

    def set_parameter(self, name: str, value: Any) -> Any:
        """Set one parameter of the node; return its SetParametersResult."""
        change = Parameter(name, value=value).to_parameter_msg()
        return self.call(
            SetParameters, "set_parameters", SetParameters.Request(parameters=[change])
        ).results[0]

    def get_parameter_of_node(self, name: str) -> Any:
        """Return the value message of one parameter of the node."""
        request = GetParameters.Request(names=[name])
        return self.call(GetParameters, "get_parameters", request).values[0]

    def transition(self, identifier: int) -> bool:
        """Ask for a lifecycle transition; returns whether it succeeded."""
        request = ChangeState.Request()
        request.transition.id = identifier
        return self.call(ChangeState, "change_state", request).success

    def state(self) -> str:
        """Return the label of the node's lifecycle state."""
        return self.call(GetState, "get_state", GetState.Request()).current_state.label
