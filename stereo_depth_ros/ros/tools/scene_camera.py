"""A simulated stereo camera: a rendered scene, or a pair of files, as a driver would send it.

Publishes left/image_rect, left/camera_info, right/image_rect, right/camera_info and, for scenes,
the exact depth of the left view as truth/depth/image_rect (32FC1, m, +Inf for sky).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from rcl_interfaces.msg import ParameterDescriptor
from rclpy.duration import Duration
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.pictures import read_pair
from stereo_depth_ros.rectification import rectification_map
from stereo_depth_ros.ros.images import ENCODINGS, encode
from stereo_depth_ros.ros.messages import as_bytes, map_message
from stereo_depth_ros.ros.overrides import warn_of_unused
from stereo_depth_ros.ros.spin import run
from stereo_depth_ros.scenes.planar import plane_scene, render, yard_scene

FRAME = "scene_left_optical_frame"
_VARIANTS = 8

_PARAMETERS = (
    ("scene", "yard", "'yard': floor, walls, posts, sky; 'plane': one wall at plane_depth"),
    ("plane_depth", 2.0, "Depth of the wall in m"),
    ("width", 640, "Image width in px"),
    ("height", 480, "Image height in px"),
    ("rate", 30.0, "Pairs per second in Hz"),
    ("focal", 0.0, "Focal length in px; 0: 0.72 of the width"),
    ("baseline", 0.12, "Distance between the cameras in m"),
    ("cx_offset", 0.0, "Principal-point offset cx_left - cx_right in px"),
    ("noise", 1.0, "Standard deviation of the image noise in grey levels"),
    ("skew", 0.0, "Right stamps are later than left by this, in s"),
    ("drop", 0.0, "Share of right images that are not sent, 0 to 1"),
    ("encoding", "rgb8", "Encoding of the images"),
    ("image_transport", "raw", "'raw', or 'compressed' for JPEG on <topic>/compressed"),
    ("reliability", "best_effort", "'best_effort' or 'reliable'"),
    ("left_file", "", "Send this image, and right_file, instead of a scene"),
    ("right_file", "", "The right image"),
    ("calibration_file", "", "Calibration of the two files"),
)

_CHOICES = {
    "scene": ("yard", "plane"),
    "encoding": ENCODINGS,
    "image_transport": ("raw", "compressed"),
    "reliability": ("best_effort", "reliable"),
}


@dataclass(frozen=True)
class _Shot:
    """What the camera looks at: images (H, W, 3) uint8 RGB, calibrations, and depth if known."""

    left: np.ndarray
    right: np.ndarray
    calibrations: tuple[Calibration, Calibration]
    depth: np.ndarray | None


class SceneCamera(Node):
    """Publishes one still scene at a steady rate with fresh noise; see the parameter table."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("scene_camera", **node_options)
        for name, default, description in _PARAMETERS:
            descriptor = ParameterDescriptor(description=description)
            self.declare_parameter(name, default, descriptor)
        warn_of_unused(self)
        self._check()
        shot = self._shoot_files() if self._value("left_file") else self._shoot_scene()
        self._depth = shot.depth
        self._images = [
            self._expose(view, seed) for seed, view in enumerate((shot.left, shot.right))
        ]
        self._infos = [_make_info(calibration) for calibration in shot.calibrations]
        self._random = random.Random(0)
        self._frame = 0
        self._create_publishers()
        self.create_timer(1.0 / self._value("rate"), self._publish)
        self.get_logger().info(
            f"sending {shot.left.shape[1]} x {shot.left.shape[0]} {self._value('encoding')} at "
            f"{self._value('rate'):g} Hz"
        )

    def _check(self) -> None:
        for name, choices in _CHOICES.items():
            if self._value(name) not in choices:
                allowed = ", ".join(choices)
                raise ValueError(f"{name} is '{self._value(name)}'; it must be one of {allowed}")
        if self._value("rate") <= 0:
            raise ValueError(f"rate is {self._value('rate'):g} Hz; it must be above 0")
        files = ("left_file", "right_file", "calibration_file")
        missing = [name for name in files if not self._value(name)]
        if 0 < len(missing) < len(files):
            raise ValueError(f"a pair of files needs {', '.join(missing)} too")

    def _value(self, name: str) -> Any:
        return self.get_parameter(name).value

    def _shoot_scene(self) -> _Shot:
        width, height = self._value("width"), self._value("height")
        focal = self._value("focal") or 0.72 * width
        cx, cy = (width - 1) / 2, (height - 1) / 2
        calibrations = (
            Calibration.pinhole(width, height, focal, cx, cy),
            Calibration.pinhole(
                width,
                height,
                focal,
                cx - self._value("cx_offset"),
                cy,
                -focal * self._value("baseline"),
            ),
        )
        is_plane = self._value("scene") == "plane"
        scene = plane_scene(self._value("plane_depth")) if is_plane else yard_scene()
        pair = render(scene, StereoCamera.from_calibrations(*calibrations))
        return _Shot(pair.left, pair.right, calibrations, pair.depth)

    def _shoot_files(self) -> _Shot:
        left, right = read_pair(self._value("left_file"), self._value("right_file"))
        if left.shape != right.shape:
            raise ValueError("left_file and right_file differ in size; a rectified pair does not")
        height, width = left.shape[:2]
        pair = read_calibration(self._value("calibration_file"), width, height)
        if pair[0].is_raw:
            left, right = rectification_map(pair[0])(left), rectification_map(pair[1])(right)
        return _Shot(left, right, pair, None)

    def _expose(self, view: np.ndarray, seed: int) -> list[Image | CompressedImage]:
        """Encode a few noisy versions beforehand, so that sending costs no more than a driver's."""
        noise = np.random.default_rng(seed)
        messages = []
        for _ in range(_VARIANTS if self._value("noise") > 0 else 1):
            grain = noise.normal(0, self._value("noise"), view.shape)
            exposed = np.rint(view + grain).clip(0, 255).astype(np.uint8)
            if self._value("image_transport") == "compressed":
                jpeg = cv2.imencode(".jpg", exposed[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
                messages.append(CompressedImage(format="bgr8; jpeg", data=as_bytes(jpeg)))
            else:
                messages.append(encode(exposed, self._value("encoding")))
        return messages

    def _create_publishers(self) -> None:
        reliability = ReliabilityPolicy[self._value("reliability").upper()]
        profile = QoSProfile(depth=5, reliability=reliability)
        compressed = self._value("image_transport") == "compressed"
        kind, suffix = (CompressedImage, "/compressed") if compressed else (Image, "")
        sides = ("left", "right")
        self._image_publishers = [
            self.create_publisher(kind, f"{side}/image_rect{suffix}", profile) for side in sides
        ]
        self._info_publishers = [
            self.create_publisher(CameraInfo, f"{side}/camera_info", profile) for side in sides
        ]
        self._truth_publisher = self.create_publisher(Image, "truth/depth/image_rect", profile)

    def _publish(self) -> None:
        now = self.get_clock().now()
        stamps = now.to_msg(), (now + Duration(seconds=self._value("skew"))).to_msg()
        number = self._frame % len(self._images[0])
        self._frame += 1
        for side in (0, 1):
            # RealSense and others name the left optical frame in both headers.
            header = Header(stamp=stamps[side], frame_id=FRAME)
            info, image = self._infos[side], self._images[side][number]
            info.header = image.header = header
            self._info_publishers[side].publish(info)
            if side == 1 and self._random.random() < self._value("drop"):
                continue
            self._image_publishers[side].publish(image)
        if self._depth is not None and self._truth_publisher.get_subscription_count() > 0:
            header = Header(stamp=stamps[0], frame_id=FRAME)
            self._truth_publisher.publish(map_message(self._depth, header))


def _make_info(calibration: Calibration) -> CameraInfo:
    message = CameraInfo(width=calibration.width, height=calibration.height)
    message.distortion_model = calibration.distortion_model
    message.d = list(calibration.d)
    message.k = calibration.k.ravel()
    message.r = calibration.r.ravel()
    message.p = calibration.p.ravel()
    return message


def main(args: list[str] | None = None) -> int:
    """Run the camera until SIGINT or SIGTERM."""
    return run(SceneCamera, args)
