"""The node benchmark: what the node adds to the inference, and what the transport delivers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from subprocess import Popen
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rclpy
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import Image

from stereo_depth_ros.errors import UserError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.ros.outputs import TOPICS, TYPES
from stereo_depth_ros.ros.tools.bench_report import Delivery, NodeBenchmark, Run, Soak
from stereo_depth_ros.ros.tools.processes import (
    NODE,
    SCENE_CAMERA,
    interrupt_when_ended,
    make_unique_namespace,
    measure_resident_bytes,
    run_process,
)
from stereo_depth_ros.ros.tools.recorder import Recorder
from stereo_depth_ros.ros.transport import CHOICES, profile_environment

_NAMESPACE = make_unique_namespace("stereo_depth_bench")
SIZES = ((640, 480), (1280, 720))
_DEPTH = TOPICS[Output.DEPTH].name
_DEPTH_ONLY = {_DEPTH: TYPES[_DEPTH]}
# Slower than any engine here, so that no frame waits for its predecessor.
_RATE_HZ = 4.0
_PEAK_S = 10.0
_PERCENTILES = " p50 / p95 (ms)"


class BenchError(UserError):
    """The node did not publish; the text is what it says of that."""


def bench_node(
    node_parameters: Mapping[str, Any], seconds: float, soak_minutes: float
) -> NodeBenchmark:
    """Measure every size and set of outputs for ``seconds`` each, then memory where asked.

    Raises
    ------
    BenchError
        When the node publishes nothing.
    KeyboardInterrupt
        On SIGINT, SIGTERM and SIGHUP, after every process has ended.
    """
    with interrupt_when_ended():
        return _bench_node(node_parameters, seconds, soak_minutes)


def _bench_node(
    node_parameters: Mapping[str, Any], seconds: float, soak_minutes: float
) -> NodeBenchmark:
    measured = NodeBenchmark()
    for width, height in SIZES:
        for label, topics in (("depth", _DEPTH_ONLY), ("all", TYPES)):
            with _open_recorder(topics, profile_environment()) as recorder:
                measured.runs.append(
                    _measure_run(recorder, node_parameters, (width, height), label, topics, seconds)
                )
                measured.engine = recorder.diagnostics["engine"].message
        for name, variables in (("default", {}), ("shipped", profile_environment())):
            measured.deliveries += _measure_deliveries((width, height), name, variables)
    if soak_minutes:
        with _open_recorder(TYPES, profile_environment()) as recorder:
            measured.soak = _measure_soak(recorder, node_parameters, soak_minutes)
    return measured


@contextmanager
def _open_recorder(topics: Mapping[str, type], variables: Mapping[str, str]) -> Iterator[Recorder]:
    """Give a recorder whose process uses the transport that ``variables`` select."""
    before = {name: os.environ.pop(name, None) for name in CHOICES}
    os.environ.update(variables)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    recorder = Recorder(topics, _NAMESPACE)
    try:
        yield recorder
    finally:
        recorder.destroy_node()
        rclpy.try_shutdown()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


@contextmanager
def _start(node: Mapping[str, Any] | None, camera: Mapping[str, Any]) -> Iterator[list[Any]]:
    with ExitStack() as stack, TemporaryDirectory() as logs:
        modules = ([(NODE, node)] if node is not None else []) + [(SCENE_CAMERA, camera)]
        yield [
            stack.enter_context(
                run_process(module, parameters, _NAMESPACE, log=Path(logs) / f"{module}.log")
            )
            for module, parameters in modules
        ]


def _measure_run(
    recorder: Recorder,
    node: Mapping[str, Any],
    size: tuple[int, int],
    label: str,
    topics: Mapping[str, type],
    seconds: float,
) -> Run:
    camera = {"width": size[0], "height": size[1], "rate": _RATE_HZ}
    with _start(node, camera):
        if not recorder.spin_until(lambda: all(t in recorder.latest for t in topics), 30.0):
            raise BenchError("; ".join(recorder.complaints()) or "the node published nothing")
        recorder.spin_for(seconds)
        memcpy, megabytes = _time_memcpy(recorder, size)
    stages = {
        key.removesuffix(_PERCENTILES): (numbers[0], numbers[1])
        for key, numbers in recorder.numbers("inference").items()
        if key.endswith(_PERCENTILES)
    }
    p50, p95 = recorder.numbers("outputs")["stamp to publish" + _PERCENTILES]
    return Run(
        size=f"{size[0]}x{size[1]}",
        outputs=label,
        frames=len(recorder.arrivals[_DEPTH]),
        own=stages.pop("own"),
        overhead=stages.pop("overhead"),
        stages=stages,
        stamp_to_publish=(p50, p95),
        memcpy=memcpy,
        megabytes=megabytes,
    )


def _time_memcpy(recorder: Recorder, size: tuple[int, int]) -> tuple[float, float]:
    """Copy as many bytes as one frame brings in and sends out; return median ms and their MB."""
    sizes = [3 * size[0] * size[1]] * 2
    for message in recorder.latest.values():
        data = getattr(getattr(message, "image", message), "data", b"")
        sizes.append(len(data))
    sources = [np.ones(n, np.uint8) for n in sizes]
    targets = [np.empty_like(source) for source in sources]
    times = []
    for _ in range(50):
        began = time.perf_counter()
        for source, target in zip(sources, targets, strict=True):
            np.copyto(target, source)
        times.append(time.perf_counter() - began)
    return float(np.median(times) * 1e3), sum(sizes) / 1e6


def _measure_deliveries(
    size: tuple[int, int], name: str, variables: Mapping[str, str], seconds: float = 3.0
) -> list[Delivery]:
    """Count what arrives of one camera's images at 30 Hz, without the node."""
    deliveries = []
    topic, rate = "left/image_rect", 30.0
    for reliability in ("best_effort", "reliable"):
        camera = {"width": size[0], "height": size[1], "rate": rate, "reliability": reliability}
        with _open_recorder({topic: Image}, variables) as recorder, _start(None, camera):
            recorder.spin_until(partial(recorder.latest.__contains__, topic), 15.0)
            recorder.forget()
            recorder.spin_for(seconds)
            deliveries.append(
                Delivery(
                    size=f"{size[0]}x{size[1]}",
                    topic=f"rgb8, sent {reliability}",
                    transport=name,
                    sent=round(rate * seconds),
                    received=len(recorder.arrivals[topic]),
                    p50=recorder.latency_ms(topic, 50),
                    p99=recorder.latency_ms(topic, 99),
                )
            )
    return deliveries


def _measure_soak(recorder: Recorder, node: Mapping[str, Any], minutes: float) -> Soak:
    with _start(node, {"width": 640, "height": 480, "rate": 30.0}) as processes:
        if not recorder.spin_until(lambda: _DEPTH in recorder.latest, 30.0):
            raise BenchError("; ".join(recorder.complaints()) or "the node published nothing")
        recorder.spin_for(60.0 - _PEAK_S)
        early = _measure_peak(recorder, processes[0])
        recorder.spin_for(60.0 * (minutes - 1) - _PEAK_S)
        late = _measure_peak(recorder, processes[0])
        published = int(recorder.numbers("outputs")["published"][0])
    return Soak(minutes, published, early / 2**20, late / 2**20)


def _measure_peak(recorder: Recorder, process: Popen) -> int:
    """Return the largest resident memory over some seconds; an inference holds it for a part."""
    deadline = time.monotonic() + _PEAK_S
    peak = 0
    while time.monotonic() < deadline:
        recorder.spin_for(0.02)
        peak = max(peak, measure_resident_bytes(process))
    return peak
