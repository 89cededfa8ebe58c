"""The demo: the real node and a simulated camera over real DDS, judged against the truth."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.engines.default_model import MATCHER
from stereo_depth_ros.errors import UserError
from stereo_depth_ros.evaluation.metrics import accuracy
from stereo_depth_ros.pictures import write_image, write_ply
from stereo_depth_ros.result_folder import ResultFolder
from stereo_depth_ros.result_pictures import draw_overview, draw_result
from stereo_depth_ros.ros.images import decode_pair
from stereo_depth_ros.ros.tools.processes import (
    NODE,
    SCENE_CAMERA,
    interrupt_when_ended,
    make_unique_namespace,
    run_process,
)
from stereo_depth_ros.ros.tools.recorder import Recorder
from stereo_depth_ros.ros.transport import transport_environment

_OUTPUTS = {
    "depth/image_rect": Image,
    "disparity": DisparityImage,
    "confidence/image": Image,
    "points": PointCloud2,
}
_INPUTS = {
    "left/image_rect": Image,
    "left/camera_info": CameraInfo,
    "depth/camera_info": CameraInfo,
}
_TRUTH = "truth/depth/image_rect"
LOGS = {"node": "node.log", "camera": "camera.log"}
MAKER = "demo"
"""Whose results the pictures are, by their record."""
_MIN_RATE = 0.9
"""Share of the camera's rate below which the engine does not keep up."""
_START_S, _MEASURE_S = 90.0, 8.0
# Any engine that works is far on the right side of these, in percent.
_MAX_BAD2, _MIN_DENSITY = 10.0, 50.0


class DemoError(UserError):
    """The demo did not see what it must; the text says what, and what the node says of it."""


def run_demo(
    node_parameters: Mapping[str, Any], camera_parameters: Mapping[str, Any], folder: Path
) -> str:
    """Run node and camera, write the pictures into ``folder``, return the report.

    Raises
    ------
    DemoError
        When an output does not arrive, a process does not end with status 0, or depth disagrees
        with the truth.
    KeyboardInterrupt
        On SIGINT, SIGTERM and SIGHUP, after both processes have ended.
    """
    with interrupt_when_ended():
        return _run_demo(node_parameters, camera_parameters, folder)


def _run_demo(
    node_parameters: Mapping[str, Any], camera_parameters: Mapping[str, Any], folder: Path
) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    os.environ.update(transport_environment())
    # Its handlers would shut the recorder down under the clean-up.
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    namespace = make_unique_namespace("stereo_depth_demo")
    truth = {} if "left_file" in camera_parameters else {_TRUTH: Image}
    expected = {**_OUTPUTS, **_INPUTS, **truth}
    recorder = Recorder(expected, namespace)
    try:
        with ExitStack() as stack:
            processes = {}
            for module, parameters, log in (
                (NODE, node_parameters, LOGS["node"]),
                (SCENE_CAMERA, camera_parameters, LOGS["camera"]),
            ):
                started = run_process(module, parameters, namespace, log=folder / log)
                processes[log] = stack.enter_context(started)
            _wait_for(expected, recorder, processes, folder)
            recorder.forget()
            recorder.spin_for(_MEASURE_S)
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
    for log, process in processes.items():
        if process.returncode != 0:
            raise DemoError(f"status {process.returncode} instead of 0; see {folder / log}")
    _write_pictures(recorder, folder)
    return _format_report(recorder, folder)


def _wait_for(
    expected: Collection[str], recorder: Recorder, processes: Mapping[str, Popen], folder: Path
) -> None:
    def is_decided() -> bool:
        complete = all(topic in recorder.latest for topic in expected)
        ended = any(process.poll() is not None for process in processes.values())
        return complete or ended or recorder.is_error("engine")

    recorder.spin_until(is_decided, _START_S)
    missing = [topic for topic in expected if topic not in recorder.latest]
    if not missing:
        return
    is_slow = not recorder.is_error("engine") and all(p.poll() is None for p in processes.values())
    logs = [line for log in processes for line in (folder / log).read_text().splitlines()[-3:]]
    reasons = recorder.complaints() or logs or ["the logs are empty"]
    if is_slow:
        reasons.insert(
            0,
            f"nothing after {_START_S:.0f} s; where the machine is busy or slow, try a faster "
            "model (--model sgbm; with make: ARGS='--model sgbm')",
        )
    raise DemoError(f"{'; '.join(reasons)} (no {', '.join(missing)}; logs in {folder})")


def _read_floats(message: Image) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


def _write_pictures(recorder: Recorder, folder: Path) -> None:
    latest = recorder.latest
    left, _ = decode_pair(latest["left/image_rect"], latest["left/image_rect"])
    cloud = latest["points"]
    points = np.frombuffer(cloud.data, np.float32).reshape(cloud.height, cloud.width, 4)[..., :3]
    maps = (
        _read_floats(latest["disparity"].image),
        _read_floats(latest["confidence/image"]),
        _read_floats(latest["depth/image_rect"]),
    )
    shown = {
        "left": left,
        **draw_result(left, *maps, points),
        "overview": draw_overview(left, *maps, points),
    }
    with ResultFolder(folder, MAKER).replace(_name_engine(recorder)) as scratch:
        for name, picture in shown.items():
            write_image(scratch / f"{name}.png", picture)
        write_ply(scratch / "points.ply", points, left)


def _name_engine(recorder: Recorder) -> str:
    engine = recorder.diagnostics.get("engine")
    return engine.message if engine else "not reported"


def _compare_with_truth(depth: np.ndarray, truth: np.ndarray, focal_baseline: float) -> list[str]:
    """Return the lines that compare ``depth`` with ``truth``.

    Parameters
    ----------
    depth, truth : np.ndarray
        (H, W) float32 in m, not finite where there is none.
    focal_baseline : float
        Focal length times baseline in px * m.

    Raises
    ------
    DemoError
        When they disagree.
    """
    real = np.isfinite(truth)
    both = real & np.isfinite(depth)
    error = np.abs(depth[both] - truth[both])
    with np.errstate(divide="ignore"):
        measured = accuracy(
            np.where(np.isfinite(depth), focal_baseline / depth, np.nan),
            np.where(real, focal_baseline / truth, np.nan),
        )
    wrong = measured.bad[2.0] - (100 - measured.density)
    if wrong > _MAX_BAD2 or measured.density < _MIN_DENSITY:
        raise DemoError(
            f"depth disagrees with the truth: EPE {measured.epe:.2f} px, more than 2 px off "
            f"{wrong:.1f} %, density {measured.density:.1f} %; the pictures beside the logs show "
            "where; another model (--model) or another training helps"
        )
    return [
        f"error against truth   median {1e3 * np.median(error):.1f} mm, EPE {measured.epe:.2f} px, "
        f"more than 2 px off {wrong:.1f} %",
        f"density               {measured.density:.1f} % of the pixels that have a true depth",
    ]


def _format_report(recorder: Recorder, folder: Path) -> str:
    lines = [f"{'output':<20}{'rate':>9}{'latency p50':>14}{'p95':>10}", "-" * 53]
    for topic in _OUTPUTS:
        lines.append(
            f"{topic:<20}{recorder.rate(topic):>6.1f} Hz"
            f"{recorder.latency_ms(topic, 50):>11.1f} ms{recorder.latency_ms(topic, 95):>7.1f} ms"
        )
    lines.append("-" * 53)
    depth = _read_floats(recorder.latest["depth/image_rect"])
    if _TRUTH in recorder.latest:
        disparity = recorder.latest["disparity"]
        truth = _read_floats(recorder.latest[_TRUTH])
        lines += _compare_with_truth(depth, truth, disparity.f * disparity.t)
    else:
        density = 100 * np.isfinite(depth).mean()
        lines.append(f"density               {density:.1f} % of the pixels; no truth known")
    lines.append(f"engine                {_name_engine(recorder)}")
    status = recorder.diagnostics.get("engine")
    facts = {value.key: value.value for value in status.values} if status else {}
    lines += _describe_limit(
        recorder.rate("left/image_rect"), recorder.rate("depth/image_rect"), facts
    )
    lines.append(f"pictures and cloud    {folder}/")
    return "\n".join(lines)


def _describe_limit(camera_hz: float, node_hz: float, engine: Mapping[str, str]) -> list[str]:
    """Return the line that says what keeps the node from the rate of the camera, if anything.

    ``engine`` is what diagnostics say of it.
    """
    if node_hz >= _MIN_RATE * camera_hz:
        return []
    is_on_cpu = engine.get("device") == "CPU"
    cures = ["a GPU"] if is_on_cpu else []
    if engine.get("name") != MATCHER:
        cures.append(f"a faster model (--model {MATCHER})")
    cures.append("smaller images")
    return [
        f"limit                 {'this CPU' if is_on_cpu else 'the engine'}: the camera sends "
        f"{camera_hz:.1f} pairs/s, of which {node_hz:.1f} are matched, the newest each time; for "
        f"more take {' or '.join(cures)}"
    ]
