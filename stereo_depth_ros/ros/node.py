"""The lifecycle node: it wires states, parameters, worker and engine to the camera's channel."""

from __future__ import annotations

import sys
import time
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn

from stereo_depth_ros.engines.loader import EngineLoader
from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.ros import overrides, parameters
from stereo_depth_ros.ros.channel import Channel
from stereo_depth_ros.ros.diagnosing.core_log import CoreLog
from stereo_depth_ros.ros.diagnosing.name_watch import NameWatch
from stereo_depth_ros.ros.diagnosing.reporter import Reporter
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.engine_choice import choose_engine
from stereo_depth_ros.ros.inputs import Frame
from stereo_depth_ros.ros.spin import run
from stereo_depth_ros.ros.state_requests import StateRequests
from stereo_depth_ros.ros.worker import LatestWorker

_UPDATE_S = 0.1
"""How often the node looks which of its outputs have subscribers."""

_STOP_S = 3.0
"""A build ends within two seconds of a cancellation."""


class StereoDepthNode(LifecycleNode):
    """Depth from a stereo pair; see doc/topics.md and doc/parameters.md."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("stereo_depth_node", **node_options)
        name = self.get_fully_qualified_name()
        problem = overrides.find_type_problem(sys.argv, name, parameters.type_problem)
        if problem:
            raise ValueError(problem)
        parameters.declare(self)
        self._log = ThrottledLog(self.get_logger())
        StateRequests(self)
        overrides.warn_of_unused(self)
        self._core_log = CoreLog(self.get_logger())
        self._reporter = Reporter(self, self._log)
        self._name_watch = NameWatch(name)
        self._worker: LatestWorker[Frame] = LatestWorker(self._process, "stereo engine")
        self._loader = EngineLoader(self._worker.call)
        self._channel: Channel | None = None
        self._is_active = False
        self._configure_error: str | None = None
        # Steady time, so that the node explains itself while /clock stands still or is absent.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_UPDATE_S, self._update_subscriptions, clock=steady)
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
            name = self.get_fully_qualified_name()
            self._configure_error = (
                f"{shorten(f'cannot configure: {error}')}; the node stays unconfigured: fix "
                f"the cause, a parameter by 'ros2 param set {name} NAME VALUE', then "
                f"'ros2 lifecycle set {name} configure' and activate, or start it again"
            )
            self.get_logger().error(self._configure_error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        return super().on_configure(state)

    def _configure(self, values: dict[str, Any]) -> None:
        self._reporter.begin()
        # First, as it is quick and most mistakes show here.
        self._channel = Channel(self, values, self._loader.engine, self._worker, self._log)
        self._loader.start(*choose_engine(values))

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish."""
        self._is_active = True
        if self._channel is not None:
            self._channel.activate()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Unsubscribe from the images and stop publishing; the engine stays loaded."""
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
        self._is_active = False
        if self._channel is not None:
            self._channel.pause()

    def _release(self) -> None:
        self._pause()
        # In the worker, which owns the engine, and therefore after its running frame.
        self._loader.close()
        self._loader = EngineLoader(self._worker.call)
        if self._channel is not None:
            self._channel.release()
            self._channel = None

    def destroy_node(self) -> None:
        """End a build and the worker, then remove the node."""
        self._pause()
        # Only a build has a process that must be gone; any other opening cannot be stopped.
        self._loader.cancel(_STOP_S if self._loader.progress is not None else 0.0)
        if not self._worker.close(timeout=1.0, last=self._loader.engine.close):
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

    def _check_parameters(self, changes: list[rclpy.Parameter]) -> SetParametersResult:
        values = {change.name: change.value for change in changes}
        is_configured = self._channel is not None
        reason = parameters.refusal(parameters.current(self), values, is_configured)
        if reason is None and not self._applies_afterwards:
            self._apply_parameters(changes)
        return SetParametersResult(successful=reason is None, reason=reason or "")

    def _apply_parameters(self, changes: list[rclpy.Parameter]) -> None:
        changed = {change.name: change.value for change in changes}
        if self._channel is not None and changed.keys() & parameters.LIVE:
            self._channel.apply({**parameters.current(self), **changed})

    # -- frames ------------------------------------------------------------------------------

    def _update_subscriptions(self) -> None:
        """Subscribe to what is needed now, and let the engine follow the size of the images.

        Raises
        ------
        EngineLostError
            When the engine is lost, to end the spinning.
        """
        channel = self._channel
        if self._loader.lost is not None:
            raise self._loader.lost
        if channel is None:
            return
        if channel.processor.engine_lost is not None:
            raise channel.processor.engine_lost
        if self._is_active and self._loader.engine.is_ready:
            channel.update_subscriptions()
            size, period_ms = channel.engine_size, channel.period_ms
            if size is not None and period_ms:
                self._loader.fit(size, period_ms)

    def _process(self, frame: Frame) -> None:
        channel = self._channel
        if self._is_active and channel is not None:
            channel.processor(frame)

    def _report(self) -> None:
        names = self.get_node_names_and_namespaces()
        namesake = self._name_watch.check(names, time.monotonic())
        if namesake:
            self._log.warning(namesake)
        if self._channel is None:
            self._reporter.report_unconfigured(self._configure_error)
        else:
            self._reporter.report(self._is_active, self._channel, self._loader)


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run(StereoDepthNode, args, StereoDepthNode.start)
