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
from stereo_depth_ros.excerpt import excerpt, shorten
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.ros import overrides, parameters
from stereo_depth_ros.ros.diagnosing.core_log import CoreLog
from stereo_depth_ros.ros.diagnosing.frame_id import frame_id_problem
from stereo_depth_ros.ros.diagnosing.name_watch import NameWatch
from stereo_depth_ros.ros.diagnosing.reporter import Reporter
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.engine_choice import engine_choice
from stereo_depth_ros.ros.geometry import PairGeometry
from stereo_depth_ros.ros.inputs import Frame, StereoInputs, Synchronizer
from stereo_depth_ros.ros.message_filters_synchronizer import MessageFiltersSynchronizer
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.processor import FrameProcessor
from stereo_depth_ros.ros.rate_limit import RateLimit
from stereo_depth_ros.ros.spin import run
from stereo_depth_ros.ros.state_requests import StateRequests
from stereo_depth_ros.ros.synchronizer import PairSynchronizer
from stereo_depth_ros.ros.tf_baseline import TfBaseline
from stereo_depth_ros.ros.worker import LatestWorker

_LOOK_S = 0.1
"""How often the node looks whether anybody listens."""

_STOP_S = 3.0
"""A build ends within two seconds of being told to."""


class StereoDepthNode(LifecycleNode):
    """Depth from a stereo pair; see the README for topics and parameters."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("stereo_depth_node", **node_options)
        name = self.get_fully_qualified_name()
        wrong = overrides.type_problem(sys.argv, name, parameters.type_problem)
        if wrong:
            raise ValueError(wrong)
        parameters.declare(self)
        self._statistics = Statistics()
        self._log = ThrottledLog(self.get_logger())
        StateRequests(self)
        self._warn_of_overrides()
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
        self._rate_limit = RateLimit()
        self._frame_id: str | None = None
        self._name_watch = NameWatch(self.get_fully_qualified_name())
        # Steady time, so that the node explains itself while /clock stands still or is absent.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK_S, self._look, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)
        # Another callback may still refuse what this one allows, so that a change acts only once
        # it is made; Humble knows no such moment.
        self._applies_afterwards = hasattr(self, "add_post_set_parameters_callback")
        self.add_on_set_parameters_callback(self._check_parameters)
        if self._applies_afterwards:
            self.add_post_set_parameters_callback(self._apply_parameters)

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
            self._configure_error = shorten(f"cannot configure: {error}")
            self.get_logger().error(self._configure_error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def _configure(self, values: dict[str, Any]) -> None:
        settings = parameters.settings_from(values)
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
            StereoPipeline(self._loader.engine, settings, PairMonitor()),
            self._outputs,
            geometry,
            self._statistics,
            self._log,
        )
        self._apply(values)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish."""
        self._active = True
        self._rate_limit.restart()
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
            # Only a build has a process that must be gone; any other opening cannot be stopped.
            self._loader.cancel(_STOP_S if self._loader.progress is not None else 0.0)
            close_engine = self._loader.engine.close
        if not self._worker.close(timeout=1.0, last=close_engine):
            # The node's log may have ended with the context.
            print("the engine is still busy; leaving without waiting for it", file=sys.stderr)
        self._core_log.close()
        super().destroy_node()

    def start(self) -> None:
        """Configure and activate now, unless parameter autostart leaves that to a manager."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    # -- parameters --------------------------------------------------------------------------

    def _warn_of_overrides(self) -> None:
        given = self._parameter_overrides
        known = [name for name in (*parameters.NAMES, *given) if self.has_parameter(name)]
        lines, others = overrides.unknown_names(given, known)
        name = self.get_fully_qualified_name()
        for line in (*overrides.unused_files(sys.argv, name), *lines):
            self.get_logger().warning(line)
        if others:
            text = excerpt(", ".join(others))
            self.get_logger().info(f"parameters that this node does not know: {text}")

    def _check_parameters(self, changes: list[rclpy.Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        configured = self._processor is not None
        reason = parameters.refusal(parameters.current(self), values, configured)
        if reason is None and not self._applies_afterwards:
            self._apply_parameters(changes)
        return SetParametersResult(successful=reason is None, reason=reason or "")

    def _apply_parameters(self, changes: list[rclpy.Parameter]) -> None:
        changed = {change.name: change.value for change in changes}
        if changed.keys() & parameters.LIVE:
            self._apply({**parameters.current(self), **changed})

    def _apply(self, values: dict[str, Any]) -> None:
        self._rate_limit.rate = values["max_rate"]
        if self._processor is not None:
            self._processor.pipeline.settings = parameters.settings_from(values)

    # -- frames ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Hear the images while, and only while, somebody hears the results.

        Raises
        ------
        EngineLostError
            When the engine is lost, to end the spinning.
        """
        if self._loader is not None and self._loader.lost is not None:
            raise self._loader.lost
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
            if self._processor is not None:
                self._processor.pipeline.restart()
            self._inputs.open()

    def _on_frame(self, frame: Frame) -> None:
        self._statistics.count("pairs")
        self._check_frame_id(frame.left.header.frame_id)
        if not self._rate_limit.admits(time.monotonic()):
            self._statistics.count("limited")
            return
        if self._worker.submit(frame):
            self._statistics.count("replaced")

    def _check_frame_id(self, frame_id: str) -> None:
        if frame_id != self._frame_id:
            self._frame_id = frame_id
            problem = frame_id_problem(frame_id)
            if problem:
                self._log.warning(problem)

    def _work(self, frame: Frame) -> None:
        processor = self._processor
        if processor is not None and self._active:
            processor(frame)

    def _report(self) -> None:
        names = self.get_node_names_and_namespaces()
        namesake = self._name_watch.check(names, time.monotonic())
        if namesake:
            self._log.warning(namesake)
        inputs, outputs, processor = self._inputs, self._outputs, self._processor
        if inputs is None or outputs is None or processor is None or self._loader is None:
            self._reporter.report_unconfigured(self._configure_error)
        else:
            rate = self._rate_limit.rate
            self._reporter.report(self._active, inputs, outputs, processor, self._loader, rate)


def _synchronizer(values: dict[str, Any]) -> Synchronizer:
    slop_ns, queue_size = round(values["slop"] * 1e9), values["queue_size"]
    if values["sync"] == "latest":
        return PairSynchronizer(slop_ns, queue_size, round(values["max_age"] * 1e9))
    return MessageFiltersSynchronizer(slop_ns if values["sync"] == "approximate" else 0, queue_size)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run(StereoDepthNode, args, StereoDepthNode.start)
