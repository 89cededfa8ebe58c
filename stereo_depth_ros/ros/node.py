"""The lifecycle node: it wires inputs, worker, pipeline and outputs, and decides nothing else."""

from __future__ import annotations

import sys
import threading
import time
from functools import partial
from typing import Any

import numpy as np
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.clock import Clock, ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.time import Time

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine, open_engine
from stereo_depth_ros.pipeline import FrameError, StereoPipeline, StereoResult
from stereo_depth_ros.rectification import VerticalDisparity, vertical_disparity
from stereo_depth_ros.ros import health, parameters, watchdog
from stereo_depth_ros.ros.diagnostics import DiagnosticsPublisher
from stereo_depth_ros.ros.geometry import Maps, PairGeometry
from stereo_depth_ros.ros.images import decode_pair
from stereo_depth_ros.ros.inputs import Frame, StereoInputs, Synchronizer
from stereo_depth_ros.ros.message_filters_synchronizer import MessageFiltersSynchronizer
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.spin import run
from stereo_depth_ros.ros.statistics import Statistics
from stereo_depth_ros.ros.synchronizer import PairSynchronizer
from stereo_depth_ros.ros.tf_baseline import TfBaseline
from stereo_depth_ros.ros.worker import LatestWorker

_LOOK_S = 0.1
"""How often the node looks whether anybody listens."""
_VERTICAL_CHECK_S = 5.0
_LOG_AGAIN_S = 10.0


def _open_engine(values: dict[str, Any]) -> Engine:
    return open_engine(
        values["model"],
        backend=values["backend"],
        providers=[p.strip() for p in values["providers"].split(",") if p.strip()],
        threads=values["threads"],
        max_disparity=values["max_disparity"],
    )


def _synchronizer(values: dict[str, Any]) -> Synchronizer:
    slop_ns, queue_size = round(values["slop"] * 1e9), values["queue_size"]
    if values["sync"] == "latest":
        return PairSynchronizer(slop_ns, queue_size, round(values["max_age"] * 1e9))
    return MessageFiltersSynchronizer(slop_ns if values["sync"] == "approximate" else 0, queue_size)


class StereoDepthNode(LifecycleNode):
    """Depth from a stereo pair; see the README for topics and parameters."""

    def __init__(self, **node_options: Any) -> None:
        super().__init__("stereo_depth_node", **node_options)
        parameters.declare(self)
        self.add_on_set_parameters_callback(self._on_set_parameters)
        self._statistics = Statistics()
        self._worker: LatestWorker[Frame] = LatestWorker(self._work, "stereo engine")
        self._engine: Engine | None = None
        self._pipeline: StereoPipeline | None = None
        self._inputs: StereoInputs | None = None
        self._outputs: StereoOutputs | None = None
        self._geometry: PairGeometry | None = None
        self._tf_baseline = TfBaseline(self)
        self._active = False
        self._calibration_error: str | None = None
        self._vertical: VerticalDisparity | None = None
        self._vertical_checked = 0.0
        self._last_accepted = float("-inf")
        self._hardware_id = "no camera yet"
        self._said: dict[str, float] = {}
        self._saying = threading.Lock()
        self._configure_error: str | None = None
        self._silent_since = time.monotonic()
        self._silence: str | None = None
        self._seen = {"paired": 0, "stale": 0}
        self._diagnostics = DiagnosticsPublisher(self)
        # Steady time, so that the node explains itself while /clock stands still or is absent.
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self.create_timer(_LOOK_S, self._look, clock=steady)
        self.create_timer(1.0, self._report, clock=steady)

    # -- lifecycle ---------------------------------------------------------------------------

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the engine and make the topics; on failure say why and stay unconfigured."""
        self._configure_error = None
        began = time.monotonic()
        try:
            values = parameters.current(self)
            parameters.check(values)
            self._engine = self._worker.call(partial(_open_engine, values))
            self._pipeline = StereoPipeline(self._engine, parameters.settings_from(values))
            self._outputs = StereoOutputs(self)
            self._inputs = StereoInputs(
                self, _synchronizer(values), values["image_transport"], self._on_frame
            )
            # Declares the QoS overrides of the images now, so that a wrong one shows now.
            self._inputs.open()
            self._inputs.close()
            self._geometry = PairGeometry(
                self._inputs.info_topics,
                values["baseline"],
                values["rectify"],
                self._inputs.are_raw,
                self._tf_baseline,
            )
        except Exception as error:
            self._configure_error = f"cannot configure: {error}"
            self.get_logger().error(self._configure_error)
            self._release()
            return TransitionCallbackReturn.FAILURE
        seconds = time.monotonic() - began
        self.get_logger().info(f"engine: {self._engine.spec}; loaded in {seconds:.1f} s")
        self._seen = {"paired": 0, "stale": 0}
        return super().on_configure(state)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Begin to publish."""
        self._active = True
        self._silent_since = time.monotonic()
        return super().on_activate(state)

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop hearing images and publishing; the engine stays loaded."""
        self._active = False
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
        if self._inputs is not None:
            self._inputs.close()
        self._worker.discard()

    def _release(self) -> None:
        self._active = False
        self._pause()
        if self._engine is not None:
            # In the worker, which owns the engine, and therefore after its running frame.
            self._worker.call(self._engine.close)
        if self._inputs is not None:
            self._inputs.destroy()
        if self._outputs is not None:
            self._outputs.destroy()
        self._tf_baseline.close()
        self._engine = self._pipeline = self._inputs = self._outputs = self._geometry = None
        self._vertical, self._calibration_error = None, None
        self._statistics.last_error = None

    def destroy_node(self) -> None:
        """End the worker, then remove the node."""
        self._active = False
        self._pause()
        if not self._worker.close(timeout=1.0):
            self.get_logger().warning("the engine is still busy; leaving without waiting for it")
        super().destroy_node()

    # -- parameters --------------------------------------------------------------------------

    def _on_set_parameters(self, changes: list[rclpy.Parameter]) -> SetParametersResult:
        configured = self._pipeline is not None
        for change in changes:
            reason = parameters.problem(change.name, change.value, configured)
            if reason:
                return SetParametersResult(successful=False, reason=reason)
        new = {change.name: change.value for change in changes}
        try:
            settings = parameters.settings_from({**parameters.current(self), **new})
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        if self._pipeline is not None:
            self._pipeline.settings = settings
        return SetParametersResult(successful=True)

    # -- frames ------------------------------------------------------------------------------

    def _look(self) -> None:
        """Hear the images while, and only while, somebody hears the results."""
        if not self._active or self._inputs is None or self._outputs is None:
            return
        if self._outputs.anybody():
            if not self._inputs.is_open:
                self._silent_since = time.monotonic()
                self._inputs.open()
        elif self._inputs.is_open:
            self._pause()

    def _on_frame(self, frame: Frame) -> None:
        self._statistics.count("pairs")
        rate = self.get_parameter("max_rate").value
        now = time.monotonic()
        # A tenth of tolerance keeps 30 Hz at 30 Hz when frames arrive a little early.
        if rate and now - self._last_accepted < 0.9 / rate:
            self._statistics.count("limited")
            return
        self._last_accepted = now
        if self._worker.submit(frame):
            self._statistics.count("replaced")

    def _work(self, frame: Frame) -> None:
        """Process one frame, in the worker's thread; nothing that it meets stops the node."""
        self._statistics.busy_since = time.monotonic()
        try:
            self._process(frame)
        except CalibrationError as error:
            self._calibration_error = str(error)
            self._failed(str(error))
        except FrameError as error:
            self._failed(str(error))
        except Exception as error:
            self._failed(f"{type(error).__name__}: {error}")
        finally:
            self._statistics.busy_since = None

    def _process(self, frame: Frame) -> None:
        inputs, outputs, pipeline, geometry = (
            self._inputs,
            self._outputs,
            self._pipeline,
            self._geometry,
        )
        if inputs is None or outputs is None or pipeline is None or geometry is None:
            return
        for info, topic in zip(
            (frame.left_info, frame.right_info), inputs.info_topics, strict=True
        ):
            if info is None:
                raise FrameError(f"images arrive but {topic} does not; publish it with the images")
        known = geometry.camera
        camera, maps = geometry.of(frame.left_info, frame.right_info)
        self._calibration_error = None
        if camera is not known:
            self._new_camera(camera, frame, pipeline)
        header, wanted = frame.left.header, outputs.wanted()
        if not wanted:
            outputs.publish_info(pipeline.output_camera(camera, pipeline.settings), header)
            return
        began = time.perf_counter()
        left, right = decode_pair(frame.left, frame.right)
        decoded = time.perf_counter()
        result = pipeline.process(left, right, camera, wanted, maps)
        processed = time.perf_counter()
        if not self._active:
            return
        outputs.publish(result, header)
        seconds = {
            "decode": decoded - began,
            **result.seconds,
            "publish": time.perf_counter() - processed,
        }
        age = self.get_clock().now() - Time.from_msg(header.stamp)
        self._statistics.record_published(seconds, age.nanoseconds * 1e-9)
        if time.monotonic() - self._vertical_checked > _VERTICAL_CHECK_S:
            self._check_rows(left, right, maps, result)

    def _new_camera(self, camera: StereoCamera, frame: Frame, pipeline: StereoPipeline) -> None:
        self._hardware_id = f"{frame.left.header.frame_id} on {pipeline.engine.spec.device}"
        self._vertical, self._vertical_checked = None, 0.0
        for warning in camera.warnings:
            self.get_logger().warning(warning)

    def _check_rows(
        self, left: np.ndarray, right: np.ndarray, maps: Maps | None, result: StereoResult
    ) -> None:
        self._vertical_checked = time.monotonic()
        self._statistics.confidence_mean = float(result.certainty.mean())
        if maps is not None:
            left, right = maps[0](left), maps[1](right)
        self._vertical = vertical_disparity(left, right, result.matched)

    def _failed(self, text: str) -> None:
        if not rclpy.ok(context=self.context):
            # The process is ending, and every publisher fails.
            return
        self._statistics.record_error(text)
        self._say("error", f"frame skipped: {text}")

    def _say(self, severity: str, text: str) -> None:
        """Log ``text`` unless it was logged a moment ago."""
        now = time.monotonic()
        with self._saying:
            said = {t: at for t, at in self._said.items() if now - at < _LOG_AGAIN_S}
            is_new = text not in said
            self._said = {text: now, **said}
        if is_new:
            # rclpy lets one line of code log at one severity only.
            if severity == "error":
                self.get_logger().error(text)
            elif severity == "warning":
                self.get_logger().warning(text)
            else:
                self.get_logger().info(text)

    # -- health ------------------------------------------------------------------------------

    def _report(self) -> None:
        inputs, outputs, geometry = self._inputs, self._outputs, self._geometry
        spec = self._engine.spec if self._engine else None
        reports = [health.engine_report(spec, self._configure_error)]
        if inputs is not None and outputs is not None and geometry is not None:
            inputs.hear_latched()
            seen = self._observed(inputs, outputs)
            self._explain(seen)
            loss = watchdog.transport_loss(seen) if inputs.is_open else None
            if loss and loss != self._silence:
                self._say("warning", loss)
            idle = not seen.subscribers
            wanted = sorted(o.value for o in outputs.wanted())
            reports += [
                health.input_report(seen.topics, inputs.synchronizer, loss),
                health.inference_report(self._statistics),
                health.output_report(self._statistics, self._silence, idle, wanted),
                health.calibration_report(geometry.camera, self._calibration_error, self._vertical),
            ]
        self._diagnostics.publish(reports, self._hardware_id)

    def _observed(self, inputs: StereoInputs, outputs: StereoOutputs) -> watchdog.Observation:
        synchronizer, statistics = inputs.synchronizer, self._statistics
        busy, error = statistics.busy_since, statistics.last_error
        paired = synchronizer.paired - self._seen["paired"]
        stale = synchronizer.stale - self._seen["stale"]
        self._seen = {"paired": synchronizer.paired, "stale": synchronizer.stale}
        return watchdog.Observation(
            topics=tuple(inputs.states()),
            subscribers=outputs.anybody(),
            paired=paired,
            skew_ns=synchronizer.typical_skew_ns(),
            calibration_error=self._calibration_error,
            frame_error=error[1] if error else None,
            busy=time.monotonic() - busy if busy else 0.0,
            zero_stamps=paired == 0 and stale > 0,
        )

    def _explain(self, seen: watchdog.Observation) -> None:
        """After some seconds of silence, log its cause and keep it for diagnostics."""
        since = max(self._silent_since, self._statistics.last_published or 0.0)
        if not self._active:
            self._silence = "the node is not active; activate it"
        elif time.monotonic() - since < watchdog.SILENCE_S:
            self._silence = None
        else:
            self._silence = watchdog.cause_of_silence(seen)
            if self._silence:
                severity = "warning" if seen.subscribers else "info"
                self._say(severity, f"nothing published for 5 s: {self._silence}")

    def start(self) -> None:
        """Configure and activate now, unless parameter autostart leaves that to a manager."""
        if not self.get_parameter("autostart").value:
            return
        if self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()


def main(args: list[str] | None = None) -> int:
    """Run the node until SIGINT or SIGTERM."""
    return run(_started, args)


def _started() -> StereoDepthNode:
    node = StereoDepthNode()
    node.start()
    return node


if __name__ == "__main__":
    sys.exit(main())
