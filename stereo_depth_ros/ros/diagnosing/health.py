"""Turn what the node remembers into diagnostic reports."""

from __future__ import annotations

import time

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import EngineSpec
from stereo_depth_ros.engines.tensorrt import BuildProgress
from stereo_depth_ros.pair_monitor import PairState
from stereo_depth_ros.ros.diagnosing.diagnostics import ERROR, OK, WARN, Report
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.watchdog import TopicState
from stereo_depth_ros.synchronizer import Synchronizer

_ERROR_STAYS_S = 10.0


def report_inputs(
    topics: tuple[TopicState, ...], synchronizer: Synchronizer, loss: str | None
) -> Report:
    """Report rates, pairing and losses of the inputs."""
    values: dict[str, object] = {f"{t.name} rate (Hz)": t.hz for t in topics}
    skew = synchronizer.typical_skew_ns()
    values |= {
        "pairs": synchronizer.paired,
        "unpaired left": synchronizer.unpaired[0],
        "unpaired right": synchronizer.unpaired[1],
        "stale or duplicate": synchronizer.stale,
        "clock jumps": synchronizer.jumps,
        "skew (ms)": None if skew is None else skew / 1e6,
        "pairing": "equal stamps"
        if not synchronizer.slop_ns
        else f"within {synchronizer.slop_ns / 1e6:g} ms",
    }
    return Report("input pairs", WARN if loss else OK, loss or "ok", values)


def report_inference(statistics: Statistics) -> Report:
    """Report stage times, replaced frames and failures."""
    values: dict[str, object] = {
        f"{stage} p50 / p95 (ms)": percentiles
        for stage, percentiles in statistics.percentiles_ms().items()
        if stage != "latency"
    }
    counts = statistics.counts
    values |= {
        "pairs offered": counts["pairs"],
        "replaced by a newer pair": counts["replaced"],
        "skipped by max_rate": counts["limited"],
        "failed": counts["failed"],
        "mean confidence": statistics.confidence_mean,
    }
    error = statistics.last_error
    if error is not None and time.monotonic() - error[0] < _ERROR_STAYS_S:
        return Report("inference", ERROR, error[1], values)
    return Report("inference", OK, "ok", values)


def report_outputs(
    statistics: Statistics, silence: str | None, is_chosen: bool, topics: list[str]
) -> Report:
    """Report rate and latency of what is published, or why nothing is or nothing is in it.

    ``is_chosen`` says that the silence is what the user chose.
    """
    latency = statistics.percentiles_ms().get("latency", (float("nan"), float("nan")))
    last = statistics.last_published
    values = {
        "published": statistics.counts["published"],
        "rate (Hz)": statistics.published.hz,
        "stamp to publish p50 / p95 (ms)": latency,
        "seconds since the last": "never" if last is None else time.monotonic() - last,
        "subscribed": ", ".join(topics) or "nothing",
        "valid (%)": 100 * statistics.valid,
    }
    if silence is not None:
        return Report("outputs", OK if is_chosen else WARN, silence, values)
    if statistics.valid == 0:
        text = (
            "every pixel of the newest frame is unknown: see confidence_threshold, roi and the "
            "other filters, or the images"
        )
        return Report("outputs", WARN, text, values)
    return Report("outputs", OK, "ok", values)


def report_engine(
    spec: EngineSpec | None, error: str | None = None, build: BuildProgress | None = None
) -> Report:
    """Report which engine runs and why, which one is being built, or why none runs."""
    values: dict[str, object] = {}
    if spec is not None:
        values = {
            "name": spec.name,
            "backend": spec.backend,
            "device": spec.device,
            "precision": spec.precision,
            "provenance": str(spec.provenance),
        }
    if build is not None:
        values |= {
            "build (%)": build.percent,
            "build step": build.step,
            "build time (s)": build.seconds,
        }
        meanwhile = "nothing is published until then" if spec is None else f"until then {spec}"
        return Report("engine", WARN, f"being built: {build}; {meanwhile}", values)
    if spec is None:
        if error is not None:
            return Report("engine", ERROR, error, values)
        return Report("engine", WARN, "not loaded: the node is not configured", values)
    if error is not None:
        return Report("engine", WARN, f"{spec}, as the chosen engine failed: {error}", values)
    if spec.degraded:
        text = f"{spec.name} runs on the CPU although there is a GPU: {spec.degraded}"
        text += f"; set backend to {spec.backend} where that is intended"
        return Report("engine", WARN, text, values)
    return Report("engine", OK, str(spec), values)


def report_calibration(
    camera: StereoCamera | None, error: str | None, pair: PairState, rectification: str = "none"
) -> Report:
    """Report the geometry in use, what rectifies the images, and whether pairs are what it says."""
    if error is not None:
        return Report("calibration", ERROR, error, {})
    if camera is None:
        return Report("calibration", OK, "no camera_info yet", {})
    values: dict[str, object] = {
        "baseline (m)": camera.baseline,
        "focal length (px)": camera.fx,
        "principal-point offset (px)": camera.offset,
        "image size": f"{camera.width} x {camera.height}",
        "rectification": rectification,
    }
    if pair.views is not None:
        values["views"] = pair.views.value
    if pair.check is not None:
        values |= {
            "vertical disparity RMS (px)": pair.check.row_rms,
            "vertical disparity median (px)": pair.check.row_median,
            "vertical disparity matches": pair.check.matches,
            "matches below infinity (%)": 100 * pair.check.below,
            "contrast right / left": pair.check.gain,
        }
    if pair.refusal is not None:
        return Report("calibration", ERROR, pair.refusal, values)
    findings = [*camera.warnings, *pair.findings]
    return Report("calibration", WARN if findings else OK, "; ".join(findings) or "ok", values)
