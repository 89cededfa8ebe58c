"""One stereo camera: everything that the node holds of it, made and released as one."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import Any

from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.engines import Engine
from stereo_depth_ros.info_geometry import InfoGeometry
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.ros import parameters
from stereo_depth_ros.ros.diagnosing.frame_id import check_frame_id
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.inputs import Frame, StereoInputs
from stereo_depth_ros.ros.message_filters_synchronizer import MessageFiltersSynchronizer
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.processor import FrameProcessor
from stereo_depth_ros.ros.rate_limit import RateLimit
from stereo_depth_ros.ros.tf_baseline import TfBaseline
from stereo_depth_ros.ros.worker import LatestWorker
from stereo_depth_ros.synchronizer import PairSynchronizer, Synchronizer


class Channel:
    """Inputs, processor, outputs and statistics of one camera.

    Parameters
    ----------
    node : LifecycleNode
        Where the topics are made.
    values : dict[str, Any]
        The node's parameters by name.
    engine : Engine
        Matches the pairs.
    worker : LatestWorker[Frame]
        Takes the frames; its handler passes them to ``processor``.
    log : ThrottledLog
        Where faults of the frames go.

    Raises
    ------
    ValueError
        When the values contradict each other; nothing is left behind, as after any other error.
    """

    def __init__(
        self,
        node: LifecycleNode,
        values: dict[str, Any],
        engine: Engine,
        worker: LatestWorker[Frame],
        log: ThrottledLog,
    ) -> None:
        self._worker = worker
        self._log = log
        self._frame_id: str | None = None
        self._rate_limit = RateLimit()
        self.statistics = Statistics()
        self._pipeline = StereoPipeline(engine, monitor=PairMonitor())
        self.apply(values)
        synchronizer = _create_synchronizer(values)
        with ExitStack() as resources:
            tf_baseline = TfBaseline(node)
            resources.callback(tf_baseline.close)
            self.outputs = StereoOutputs(node)
            resources.callback(self.outputs.destroy)
            self.inputs = StereoInputs(
                node, synchronizer, values["image_transport"], self._on_frame
            )
            resources.callback(self.inputs.destroy)
            # Declares the QoS overrides of the images now, so that a wrong one shows now.
            self.inputs.subscribe()
            self.inputs.unsubscribe()
            self._resources = resources.pop_all()
        geometry = InfoGeometry(
            self.inputs.info_topics,
            values["baseline"],
            values["rectify"],
            self.inputs.is_raw,
            tf_baseline,
        )
        self.processor = FrameProcessor(
            node, self._pipeline, self.outputs, geometry, self.statistics, log
        )

    @property
    def max_rate(self) -> float:
        """Pairs per second that are processed at most, in Hz; 0 for no limit."""
        return self._rate_limit.rate

    @property
    def engine_size(self) -> tuple[int, int] | None:
        """Height and width in px that the engine should be opened for, None for its own."""
        camera = self.processor.camera
        return None if camera is None else self._pipeline.input_size(camera)

    @property
    def period_ms(self) -> float:
        """Time in ms between two pairs that are to be processed, 0 while that is not known."""
        hz = self.inputs.hz
        rate = min(hz, self.max_rate) if self.max_rate else hz
        return 1e3 / rate if hz else 0.0

    def apply(self, values: dict[str, Any]) -> None:
        """Let parameter ``values`` act from the next frame on.

        Raises
        ------
        ValueError
            When the values contradict each other.
        """
        self._pipeline.settings = parameters.settings_from(values)
        self._rate_limit.rate = values["max_rate"]

    def activate(self) -> None:
        """Prepare for `update_subscriptions` to be called."""
        self._rate_limit.restart()
        self.statistics.expect()

    def update_subscriptions(self) -> None:
        """Subscribe to the images while, and only while, the outputs have subscribers."""
        self.inputs.subscribe_latched()
        if not self.outputs.has_subscribers():
            self.pause()
        elif not self.inputs.is_subscribed:
            self.statistics.expect()
            self._pipeline.restart()
            self.inputs.subscribe()

    def pause(self) -> None:
        """Unsubscribe from the images and drop the frame that waits."""
        self.inputs.unsubscribe()
        self._worker.discard()

    def release(self) -> None:
        """Remove every topic, once the worker has ended its frame."""
        self._resources.close()

    def _on_frame(self, frame: Frame) -> None:
        self.statistics.count("pairs")
        self._check_frame_id(frame.left.header.frame_id)
        if not self._rate_limit.admit(time.monotonic()):
            self.statistics.count("limited")
            return
        if self._worker.submit(frame):
            self.statistics.count("replaced")

    def _check_frame_id(self, frame_id: str) -> None:
        if frame_id != self._frame_id:
            self._frame_id = frame_id
            problem = check_frame_id(frame_id)
            if problem:
                self._log.warning(problem)


def _create_synchronizer(values: dict[str, Any]) -> Synchronizer:
    slop_ns, queue_size = round(values["slop"] * 1e9), values["queue_size"]
    if values["sync"] == "latest":
        return PairSynchronizer(slop_ns, queue_size, round(values["max_age"] * 1e9))
    return MessageFiltersSynchronizer(slop_ns if values["sync"] == "approximate" else 0, queue_size)
