"""From a frame of messages to published results, in the worker's thread."""

from __future__ import annotations

import time

import numpy as np
import rclpy
from rclpy.lifecycle import LifecycleNode
from rclpy.time import Time

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.pipeline import FrameError, StereoPipeline, StereoResult
from stereo_depth_ros.rectification import VerticalDisparity, vertical_disparity
from stereo_depth_ros.ros.geometry import Maps, PairGeometry
from stereo_depth_ros.ros.images import decode_pair
from stereo_depth_ros.ros.inputs import Frame
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.statistics import Statistics
from stereo_depth_ros.ros.throttled_log import ThrottledLog

_VERTICAL_CHECK_S = 5.0


class FrameProcessor:
    """Decodes, matches and publishes one frame after another; nothing that it meets stops it.

    ``calibration_error`` is why the newest camera_info gives no depth, ``vertical`` the last check
    of the rectification, ``camera_frame`` the frame_id of the left camera; each None at first.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: StereoPipeline,
        outputs: StereoOutputs,
        geometry: PairGeometry,
        statistics: Statistics,
        log: ThrottledLog,
    ) -> None:
        self._node = node
        self.pipeline = pipeline
        self._outputs = outputs
        self._geometry = geometry
        self._statistics = statistics
        self._log = log
        self._vertical_checked = 0.0
        self.calibration_error: str | None = None
        self.vertical: VerticalDisparity | None = None
        self.camera_frame: str | None = None

    @property
    def camera(self) -> StereoCamera | None:
        """The geometry in use."""
        return self._geometry.camera

    @property
    def rectification(self) -> str:
        """What rectifies the images."""
        return self._geometry.rectification

    def __call__(self, frame: Frame) -> None:
        """Process one frame; what goes wrong is counted and logged."""
        self._statistics.busy_since = time.monotonic()
        try:
            self._process(frame)
        except CalibrationError as error:
            self.calibration_error = str(error)
            self._failed(str(error))
        except FrameError as error:
            self._failed(str(error))
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
        finally:
            self._statistics.busy_since = None

    def _process(self, frame: Frame) -> None:
        camera, maps = self._geometry_of(frame)
        pipeline, outputs = self.pipeline, self._outputs
        header, wanted = frame.left.header, outputs.wanted()
        if not wanted:
            outputs.publish_info(pipeline.output_camera(camera, pipeline.settings), header)
            self._statistics.last_error = None
            return
        began = time.perf_counter()
        left, right = decode_pair(frame.left, frame.right)
        decoded = time.perf_counter()
        result = pipeline.process(left, right, camera, wanted, maps)
        processed = time.perf_counter()
        outputs.publish(result, header)
        seconds = {
            "decode": decoded - began,
            **result.seconds,
            "publish": time.perf_counter() - processed,
        }
        age = self._node.get_clock().now() - Time.from_msg(header.stamp)
        self._statistics.record_published(
            seconds, age.nanoseconds * 1e-9, float(result.certainty.mean())
        )
        if time.monotonic() - self._vertical_checked > _VERTICAL_CHECK_S:
            self._check_rows(left, right, maps, result)

    def _geometry_of(self, frame: Frame) -> tuple[StereoCamera, Maps | None]:
        before = self._geometry.camera
        camera, maps = self._geometry.of(frame.left_info, frame.right_info)
        self.calibration_error = None
        if camera is not before:
            self.camera_frame = frame.left.header.frame_id
            self.vertical, self._vertical_checked = None, 0.0
            for warning in camera.warnings:
                self._log.warning(warning)
            if maps is not None:
                self._log.info(f"the images are rectified {self.rectification}")
        return camera, maps

    def _check_rows(
        self, left: np.ndarray, right: np.ndarray, maps: Maps | None, result: StereoResult
    ) -> None:
        self._vertical_checked = time.monotonic()
        if maps is not None:
            left, right = maps[0](left), maps[1](right)
        self.vertical = vertical_disparity(left, right, result.matched)

    def _failed(self, text: str) -> None:
        if not rclpy.ok(context=self._node.context):
            # The process is ending, and every publisher fails.
            return
        self._statistics.record_error(text)
        self._log.error(f"frame skipped: {text}")
