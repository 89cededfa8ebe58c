"""Once a second: observe the node, explain its silence, publish its health."""

from __future__ import annotations

import time

from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.engines.loader import EngineLoader
from stereo_depth_ros.ros.diagnosing import health, watchdog
from stereo_depth_ros.ros.diagnosing.diagnostics import DiagnosticsPublisher
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog
from stereo_depth_ros.ros.inputs import StereoInputs
from stereo_depth_ros.ros.outputs import StereoOutputs
from stereo_depth_ros.ros.processor import FrameProcessor


class Reporter:
    """Publishes diagnostics, and logs why nothing is published when nothing is."""

    def __init__(self, node: LifecycleNode, log: ThrottledLog) -> None:
        self._diagnostics = DiagnosticsPublisher(node)
        self._log = log
        self.begin(Statistics())

    def begin(self, statistics: Statistics) -> None:
        """Report on a new configuration, whose counters start at zero."""
        self._statistics = statistics
        self.expect()
        self._paired = self._stale = 0
        self._logged_choice: str | None = None
        self._hardware_id = "no camera yet"

    def expect(self) -> None:
        """Count the silence from now, as output cannot be expected earlier."""
        self._expecting_since = time.monotonic()

    def report_unconfigured(self, error: str | None) -> None:
        """Publish that there is no engine, and the error of the last attempt at one."""
        self._diagnostics.publish([health.engine_report(None, error)], self._hardware_id)

    def report(
        self,
        is_active: bool,
        inputs: StereoInputs,
        outputs: StereoOutputs,
        processor: FrameProcessor,
        loader: EngineLoader,
        max_rate: float,
    ) -> None:
        """Publish the health of a configured node."""
        is_ready, spec = loader.engine.is_ready, loader.engine.spec
        if processor.camera_frame is not None:
            self._hardware_id = f"{processor.camera_frame} on {spec.device}"
        seen = self._observed(inputs, outputs, processor, max_rate)
        if not is_active:
            silence: str | None = "the node is not active; activate it"
        else:
            silence = self._explained(seen) if is_ready else "there is no engine yet"
        by_choice = not seen.subscribers or silence == watchdog.choice_of_silence(seen)
        loss = watchdog.transport_loss(seen) if inputs.is_open else None
        if loss and loss != silence:
            self._log.warning(loss)
        wanted = sorted(output.value for output in outputs.wanted())
        reports = [
            health.engine_report(spec if is_ready else None, loader.error, loader.progress),
            health.input_report(seen.topics, inputs.synchronizer, loss),
            health.inference_report(self._statistics),
            health.output_report(self._statistics, silence, by_choice, wanted),
            health.calibration_report(
                processor.camera,
                processor.calibration_error,
                processor.pair,
                processor.rectification,
            ),
        ]
        self._diagnostics.publish(reports, self._hardware_id)

    def _observed(
        self,
        inputs: StereoInputs,
        outputs: StereoOutputs,
        processor: FrameProcessor,
        max_rate: float,
    ) -> watchdog.Observation:
        synchronizer, statistics = inputs.synchronizer, self._statistics
        busy, error = statistics.busy_since, statistics.last_error
        paired = synchronizer.paired - self._paired
        stale = synchronizer.stale - self._stale
        self._paired, self._stale = synchronizer.paired, synchronizer.stale
        return watchdog.Observation(
            topics=tuple(inputs.states()),
            subscribers=outputs.anybody(),
            paired=paired,
            skew_ns=synchronizer.typical_skew_ns(),
            slop_ns=synchronizer.stated_slop_ns,
            calibration_error=processor.calibration_error if paired else None,
            frame_error=error[1] if error and paired else None,
            busy=time.monotonic() - busy if busy else 0.0,
            zero_stamps=paired == 0 and stale > 0,
            max_rate=max_rate,
        )

    def _explained(self, seen: watchdog.Observation) -> str | None:
        """Return, and log, the cause of a silence of some seconds; None while there is none.

        What the user chose is logged once, until it changes.
        """
        choice = watchdog.choice_of_silence(seen)
        if choice != self._logged_choice:
            self._logged_choice = None
        since = max(self._expecting_since, self._statistics.last_published or 0.0)
        if time.monotonic() - since < watchdog.SILENCE_S:
            return None
        cause = watchdog.cause_of_silence(seen)
        if cause:
            text = f"nothing published for {watchdog.SILENCE_S:.0f} s: {cause}"
            if cause != choice:
                self._log.warning(text)
            elif self._logged_choice is None:
                self._logged_choice = choice
                self._log.info(text)
        return cause
