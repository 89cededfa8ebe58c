"""How long models take, side by side in one run."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine, EngineError
from stereo_depth_ros.engines.default_model import name_of
from stereo_depth_ros.engines.tensorrt.device import find_device, free_memory_mb
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.scenes.planar import render, yard_scene

_BEFORE = ("compare", "rectify", "fit")
_WARM_UP = 3


@dataclass(frozen=True)
class Timing:
    """One model at one size: ms before, in and after the inference, and MiB that opening it took.

    ``inference`` is (min, p50, p95, p99), the others medians. ``memory`` is that of the process,
    ``gpu_memory`` of the whole GPU, None where there is none; the first model that uses the GPU
    pays for the CUDA context. ``ratio`` compares the inference with that of the first model, round
    by round: (p5, median, p95).
    """

    model: str
    engine: str
    device: str
    width: int
    height: int
    rounds: int
    before: float
    inference: tuple[float, float, float, float]
    after: float
    memory: float
    gpu_memory: float | None
    ratio: tuple[float, float, float]


def benchmark(
    openers: Sequence[tuple[str, Callable[[], Engine]]], width: int, height: int, rounds: int
) -> list[Timing]:
    """Time every model on one rendered pair of ``width`` x ``height``, taking turns.

    Taking turns makes the ratio robust: whatever else the machine does meets all models alike.
    ``openers`` are a name, which begins with the model, and what opens it; depth is computed as for
    a subscriber of depth alone.
    """
    cx, cy = (width - 1) / 2, (height - 1) / 2
    camera = StereoCamera(width, height, 0.72 * width, 0.72 * width, cx, cy, cx, 0.12)
    pair = render(yard_scene(), camera)
    pipelines, memory = [], []
    seconds: list[list[dict[str, float]]] = [[] for _ in openers]
    with ExitStack() as held:
        for _, opener in openers:
            resident, free = resident_mib(), _free_gpu_mib()
            pipelines.append(StereoPipeline(held.enter_context(closing(opener()))))
            # What an engine needs to work it may only take when it does.
            pipelines[-1].process(pair.left, pair.right, camera, (Output.DEPTH,))
            taken = None if free is None else free - (_free_gpu_mib() or 0.0)
            memory.append((resident_mib() - resident, taken))
        for turn in range(_WARM_UP + rounds):
            for pipeline, rounds_of_model in zip(pipelines, seconds, strict=True):
                result = pipeline.process(pair.left, pair.right, camera, (Output.DEPTH,))
                if turn >= _WARM_UP:
                    rounds_of_model.append(result.match.seconds)
    first = np.array([s["inference"] for s in seconds[0]])
    timings = []
    for (name, _), pipeline, rounds_of_model, (mib, gpu_mib) in zip(
        openers, pipelines, seconds, memory, strict=True
    ):
        inference = np.array([s["inference"] for s in rounds_of_model])
        after = [
            sum(v for stage, v in s.items() if stage not in (*_BEFORE, "inference"))
            for s in rounds_of_model
        ]
        before = [sum(s.get(stage, 0.0) for stage in _BEFORE) for s in rounds_of_model]
        timings.append(
            Timing(
                model=_describe_model(name, pipeline.engine),
                engine=str(pipeline.engine.spec),
                device=pipeline.engine.spec.device,
                width=width,
                height=height,
                rounds=rounds,
                before=float(np.median(before) * 1e3),
                inference=_percentiles(inference * 1e3, 0, 50, 95, 99),
                after=float(np.median(after) * 1e3),
                memory=mib,
                gpu_memory=gpu_mib,
                ratio=_percentiles(inference / first, 5, 50, 95),
            )
        )
    return timings


def _describe_model(name: str, engine: Engine) -> str:
    model, comma, way = name.partition(", ")
    return f"{name_of(model, engine)}{comma}{way}"


def _percentiles(values: np.ndarray, *which: float) -> Any:
    return tuple(float(v) for v in np.percentile(values, which))


def resident_mib() -> float:
    """Return the memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _free_gpu_mib() -> float | None:
    try:
        return float(free_memory_mb(find_device()))
    except EngineError:
        return None


def as_text(timings: Sequence[Timing]) -> str:
    """Return the timings as a Markdown table."""
    first = timings[0]
    lines = [
        f"{first.width} x {first.height}, {first.rounds} rounds in turn; ms, and inference "
        f"relative to {first.model}",
        "",
        "| model | before | inference min / p50 / p95 / p99 | after | ratio p5 / p50 / p95 | MiB "
        "| GPU MiB |",
        "| --- " * 7 + "|",
    ]
    for t in timings:
        inference = " / ".join(f"{v:.1f}" for v in t.inference)
        ratio = " / ".join(f"{v:.2f}" for v in t.ratio)
        lines.append(
            f"| {t.model} | {t.before:.2f} | {inference} | {t.after:.2f} | {ratio} "
            f"| {t.memory:.0f} | {'-' if t.gpu_memory is None else f'{t.gpu_memory:.0f}'} |"
        )
    return "\n".join([*lines, "", *(f"- {t.engine}" for t in timings)])


def as_dict(timings: Sequence[Timing]) -> dict[str, Any]:
    """Return plain values for JSON."""
    return {"timings": [asdict(t) for t in timings]}
