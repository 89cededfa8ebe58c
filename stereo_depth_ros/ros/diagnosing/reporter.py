"""Once a second: observe the node, explain its silence, publish its health."""

from __future__ import annotations

from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.engines.loader import EngineLoader
from stereo_depth_ros.ros.channel import Channel
from stereo_depth_ros.ros.diagnosing import health, watchdog
from stereo_depth_ros.ros.diagnosing.diagnostics import DiagnosticsPublisher
from stereo_depth_ros.ros.diagnosing.throttled_log import ThrottledLog


class Reporter:
    """Publishes diagnostics, and logs why nothing is published when nothing is."""

    def __init__(self, node: LifecycleNode, log: ThrottledLog) -> None:
        self._diagnostics = DiagnosticsPublisher(node)
        self._log = log
        self.begin()

    def begin(self) -> None:
        """Report on a new configuration, whose counters start at zero."""
        self._paired = self._stale = 0
        self._logged_choice: str | None = None
        self._hardware_id = "no camera yet"

    def report_unconfigured(self, error: str | None) -> None:
        """Publish that there is no engine, and the error of the last attempt at one."""
        self._diagnostics.publish([health.report_engine(None, error)], self._hardware_id)

    def report(self, is_active: bool, channel: Channel, loader: EngineLoader) -> None:
        """Publish the health of a configured node."""
        is_ready, spec = loader.engine.is_ready, loader.engine.spec
        inputs, processor, statistics = channel.inputs, channel.processor, channel.statistics
        if processor.camera_frame is not None:
            self._hardware_id = f"{processor.camera_frame} on {spec.device}"
        observed = self._observe(channel)
        choice = watchdog.explain_chosen_silence(observed)
        if not is_active:
            silence: str | None = "the node is not active; activate it"
        elif not is_ready:
            silence = "there is no engine yet"
        else:
            silence = self._explain_silence(observed, choice, statistics.silence_s)
        is_chosen = not observed.has_subscribers or silence == choice
        loss = watchdog.find_transport_loss(observed) if inputs.is_subscribed else None
        if loss and loss != silence:
            self._log.warning(loss)
        subscribed = sorted(output.value for output in channel.outputs.list_subscribed())
        reports = [
            health.report_engine(spec if is_ready else None, loader.error, loader.progress),
            health.report_inputs(observed.topics, inputs.synchronizer, loss),
            health.report_inference(statistics),
            health.report_outputs(statistics, silence, is_chosen, subscribed),
            health.report_calibration(
                processor.camera,
                processor.calibration_error,
                processor.pair,
                processor.rectification,
            ),
        ]
        self._diagnostics.publish(reports, self._hardware_id)

    def _observe(self, channel: Channel) -> watchdog.Observation:
        synchronizer, statistics = channel.inputs.synchronizer, channel.statistics
        error = statistics.last_error
        paired = synchronizer.paired - self._paired
        stale = synchronizer.stale - self._stale
        self._paired, self._stale = synchronizer.paired, synchronizer.stale
        return watchdog.Observation(
            topics=tuple(channel.inputs.read_states()),
            has_subscribers=channel.outputs.has_subscribers(),
            paired=paired,
            skew_ns=synchronizer.typical_skew_ns(),
            adaptive_slop_ns=synchronizer.adaptive_slop_ns,
            calibration_error=channel.processor.calibration_error if paired else None,
            frame_error=error[1] if error and paired else None,
            busy_s=statistics.busy_s,
            has_zero_stamps=paired == 0 and stale > 0,
            max_rate=channel.max_rate,
        )

    def _explain_silence(
        self, observed: watchdog.Observation, choice: str | None, silence_s: float
    ) -> str | None:
        """Return, and log, the cause of a silence of some seconds; None while there is none.

        ``choice`` is what the user chose; it is logged once, until it changes.
        """
        if choice != self._logged_choice:
            self._logged_choice = None
        if silence_s < watchdog.SILENCE_S:
            return None
        cause = watchdog.explain_silence(observed)
        if cause:
            text = f"nothing published for {watchdog.SILENCE_S:.0f} s: {cause}"
            if cause != choice:
                self._log.warning(text)
            elif self._logged_choice is None:
                self._logged_choice = choice
                self._log.info(text)
        return cause
