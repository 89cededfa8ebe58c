"""The lifecycle node: it wires inputs, worker, processor and outputs, and decides nothing else."""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from stereo_depth_ros.engines.loader import EngineLoader
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.ros import parameters
from stereo_depth_ros.ros.core_log import CoreLog
from stereo_depth_ros.ros.engine_choice import engine_choice
from stereo_depth_ros.ros.geometry import PairGeometry
from stereo_depth_ros.ros.inputs import Frame, StereoInputs, Synchronizer
from stereo_depth_ros.ros.message_filters_synchronizer import MessageFiltersSynchronizer
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.processor import FrameProcessor
from stereo_depth_ros.ros.reporter import Reporter
from stereo_depth_ros.ros.spin import run
from stereo_depth_ros.ros.statistics import Statistics
from stereo_depth_ros.ros.synchronizer import PairSynchronizer
from stereo_depth_ros.ros.tf_baseline import TfBaseline
from stereo_depth_ros.ros.throttled_log import ThrottledLog
from stereo_depth_ros.ros.worker import LatestWorker

_LOOK_S = 0.1
"""How often the node looks whether anybody listens."""

_STOP_S = 3.0
"""A build ends within two seconds of being told to."""


class StereoDepthNode(LifecycleNode):
    """Depth from a stereo pair; see the README for topics and parameters."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("stereo_depth_node", **node_options)
        parameters.declare(self)
        self._statistics = Statistics()
        self._log = ThrottledLog(self.get_logger())
        self._core_log = CoreLog(self.get_logger())
        self._reporter = Reporter(self, self._log)
        self._worker: LatestWorker[Frame] = LatestWorker(self._work, "stereo engine")
        self._tf_baseline = TfBaseline(self)
        self._loader: EngineLoader | None = None
        self._inputs: StereoInputs | None = None
        self._outputs: StereoOutputs | None = None
        self._processor: FrameProcessor | None = None
        self._active = False
        self._configure_error: str | None = None
        self._next_due = float("-inf")
        # Steady time, so that the node explains itself while /clock stands still or is absent.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK_S, self._look, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)
        self.add_on_set_parameters_callback(self._on_set_parameters)

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the engine and make the topics; on failure say why and stay unconfigured.

        An engine that must be built first comes later.
        """
        self._configure_error = None
        try:
            values = parameters.current(self)
            parameters.check(values)
            self._configure(values)
        except Exception as error:
            self._configure_error = f"cannot configure: {error}"
            self.get_logger().error(self._configure_error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def _configure(self, values: dict[str, Any]) -> None:
        self._statistics = Statistics()
        self._reporter.begin(self._statistics)
        self._loader = EngineLoader(self._worker.call)
        self._loader.start(*engine_choice(values))
        self._outputs = StereoOutputs(self)
        self._inputs = StereoInputs(
            self, _synchronizer(values), values["image_transport"], self._on_frame
        )
        # Declares the QoS overrides of the images now, so that a wrong one shows now.
        self._inputs.open()
        self._inputs.close()
        geometry = PairGeometry(
            self._inputs.info_topics,
            values["baseline"],
            values["rectify"],
            self._inputs.are_raw,
            self._tf_baseline,
        )
        self._processor = FrameProcessor(
            self,
            StereoPipeline(self._loader.engine, parameters.settings_from(values)),
            self._outputs,
            geometry,
            self._statistics,
            self._log,
        )

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish."""
        self._active = True
        self._reporter.expect()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop hearing images and publishing; the engine stays loaded."""
        self._pause()
        return super().on_deactivate(state)

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release the engine and every topic."""
        self._release()
        return super().on_cleanup(state)

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything, from any state."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Release everything and return to unconfigured."""
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def _pause(self) -> None:
        self._active = False
        self._stop_hearing()

    def _stop_hearing(self) -> None:
        if self._inputs is not None:
            self._inputs.close()
        self._worker.discard()

    def _release(self) -> None:
        self._pause()
        if self._loader is not None:
            # In the worker, which owns the engine, and therefore after its running frame.
            self._loader.close()
        if self._inputs is not None:
            self._inputs.destroy()
        if self._outputs is not None:
            self._outputs.destroy()
        self._tf_baseline.close()
        self._loader = self._inputs = self._outputs = self._processor = None

    def destroy_node(self) -> None:
        """End a build and the worker, then remove the node."""
        self._pause()
        close_engine = None
        if self._loader is not None:
            self._loader.cancel(_STOP_S)
            close_engine = self._loader.engine.close
        if not self._worker.close(timeout=1.0, last=close_engine):
            self.get_logger().warning("the engine is still busy; leaving without waiting for it")
        self._core_log.close()
        super().destroy_node()

    def start(self) -> None:
        """Configure and activate now, unless parameter autostart leaves that to a manager."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- parameters --------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[rclpy.Parameter]) -> SetParametersResult:
        configured = self._processor is not None
        for change in changes:
            reason = parameters.problem(change.name, change.value, configured)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        new = {change.name: change.value for change in changes}
        try:
            settings = parameters.settings_from({**parameters.current(self), **new})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._processor is not None:
            self._processor.pipeline.settings = settings
        return SetParametersResult(successful=True)

    # -- frames ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Hear the images while, and only while, somebody hears the results.

        Raises
        ------
        EngineLostError
            When the engine is lost, to end the spinning.
        """
        if self._processor is not None and self._processor.engine_lost is not None:
            raise self._processor.engine_lost
        if not self._active or self._inputs is None or self._outputs is None:
            return
        if self._loader is None or not self._loader.engine.is_ready:
            return
        self._inputs.hear_latched()
        if not self._outputs.anybody():
            self._stop_hearing()
        elif not self._inputs.is_open:
            self._reporter.expect()
            self._inputs.open()

    def _on_frame(self, frame: Frame) -> None:
        self._statistics.count("pairs")
        rate = self.get_parameter("max_rate").value
        now = time.monotonic()
        if rate:
            if now < self._next_due:
                self._statistics.count("limited")
                return
            # Due by schedule, not by arrival, so that jitter does not cost frames.
            self._next_due = max(self._next_due, now - 1 / rate) + 1 / rate
        if self._worker.submit(frame):
            self._statistics.count("replaced")

    def _work(self, frame: Frame) -> None:
        processor = self._processor
        if processor is not None and self._active:
            processor(frame)

    def _report(self) -> None:
        inputs, outputs, processor = self._inputs, self._outputs, self._processor
        if inputs is None or outputs is None or processor is None or self._loader is None:
            self._reporter.report_unconfigured(self._configure_error)
        else:
            self._reporter.report(self._active, inputs, outputs, processor, self._loader)


def _synchronizer(values: dict[str, Any]) -> Synchronizer:
    slop_ns, queue_size = round(values["slop"] * 1e9), values["queue_size"]
    if values["sync"] == "latest":
        return PairSynchronizer(slop_ns, queue_size, round(values["max_age"] * 1e9))
    return MessageFiltersSynchronizer(slop_ns if values["sync"] == "approximate" else 0, queue_size)


def _started() -> StereoDepthNode:
    node = StereoDepthNode()
    node.start()
    return node


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run(_started, args)


if __name__ == "__main__":
    sys.exit(main())
