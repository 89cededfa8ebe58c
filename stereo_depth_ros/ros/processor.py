"""From a frame of messages to published results, in the worker's thread."""

from __future__ import annotations

import re
import time

import rclpy
from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.decoding.levels import Levels
from stereo_depth_ros.engines import EngineLostError
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.pair_monitor import PairState
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.geometry import Maps, PairGeometry
from stereo_depth_ros.ros.images import decode_pair, read_image_size
from stereo_depth_ros.ros.inputs import Frame
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.stamp import stamp_ns


class FrameProcessor:
    """Decodes, matches and publishes one frame after another; nothing that it meets stops it.

    ``calibration_error`` is why the newest camera_info gives no depth, ``camera_frame`` the
    frame_id of the left camera, ``engine_lost`` why only a new process can match again; each None
    at first.
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
        self._levels = Levels()
        self._logged: set[str] = set()
        self.calibration_error: str | None = None
        self.camera_frame: str | None = None
        self.engine_lost: EngineLostError | None = None

    @property
    def camera(self) -> StereoCamera | None:
        """The geometry in use."""
        return self._geometry.camera

    @property
    def pair(self) -> PairState:
        """What the pairs of late say of the rig."""
        monitor = self.pipeline.monitor
        return PairState() if monitor is None else monitor.state

    @property
    def rectification(self) -> str:
        """What rectifies the images."""
        return self._geometry.rectification

    def __call__(self, frame: Frame) -> None:
        """Process one frame; what goes wrong is counted and logged."""
        self._statistics.begin_frame()
        try:
            self._process(frame)
        except CalibrationError as error:
            self.calibration_error = str(error)
            self._record_failure(str(error))
        except FrameError as error:
            self._record_failure(str(error))
        except EngineLostError as error:
            self.engine_lost = error
            self._record_failure(str(error))
        except Exception as error:
            self._record_failure(f"{type(error).__name__}: {error}")
        finally:
            self._statistics.end_frame()

    def _process(self, frame: Frame) -> None:
        camera, maps = self._get_geometry(frame)
        pipeline, outputs = self.pipeline, self._outputs
        header, subscribed = frame.left.header, outputs.list_subscribed()
        if not subscribed:
            outputs.publish_info(pipeline.output_camera(camera, pipeline.settings), header)
            self._statistics.clear_error()
            return
        began = time.perf_counter()
        left, right = decode_pair(frame.left, frame.right, self._levels)
        decoded = time.perf_counter()
        result = pipeline.process(left, right, camera, subscribed, maps)
        processed = time.perf_counter()
        outputs.publish(result, header)
        seconds = {
            "decode": decoded - began,
            **result.match.seconds,
            "publish": time.perf_counter() - processed,
        }
        # rclpy's Time takes no negative seconds.
        age_ns = self._node.get_clock().now().nanoseconds - stamp_ns(frame.left)
        self._statistics.record_published(
            seconds,
            age_ns * 1e-9,
            confidence=float(result.match.confidence.mean()),
            valid=float(result.match.valid.mean()),
        )
        self._log_findings()

    def _get_geometry(self, frame: Frame) -> tuple[StereoCamera, Maps | None]:
        before = self._geometry.camera
        sizes = read_image_size(frame.left, "left"), read_image_size(frame.right, "right")
        camera, maps = self._geometry.get(frame.left_info, frame.right_info, sizes)
        self.calibration_error = None
        if camera is not before:
            self.camera_frame = frame.left.header.frame_id
            self._levels.reset()
            self._logged.clear()
            for warning in camera.warnings:
                self._log.warning(warning)
            if maps is not None:
                self._log.info(f"the images are rectified {self.rectification}")
        return camera, maps

    def _log_findings(self) -> None:
        """Log what the pairs say against the rig, each finding once per geometry."""
        for finding in self.pair.findings:
            kind = re.sub(r"[\d.]+", "", finding)
            if kind not in self._logged:
                self._logged.add(kind)
                self._log.warning(finding)

    def _record_failure(self, text: str) -> None:
        if not rclpy.ok(context=self._node.context):
            # The process is ending, and every publisher fails.
            return
        self._statistics.record_error(text)
        self._log.error(f"frame skipped: {text}")
