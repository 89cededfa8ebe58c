"""Measure, on this machine and in one run.

Without --node: the inference of one or more models at one image size, in turn, with their ratio
round by round. Each model runs on each --backend; with --tensorrt-modes also as a TensorRT engine
with and without CUDA graph, in page-locked memory that is copied and in memory that is mapped.

With --node: the real node and a simulated camera over DDS at 640x480 and 1280x720, once with depth
alone subscribed and once with everything: the time of every stage beside the cost of copying the
same bytes; then what the default and the shipped transport deliver of 30 images per second; and,
with --soak, the node's memory.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from stereo_depth_ros.artifact import find_artifact, list_models
from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.layers import import_ros
from stereo_depth_ros.cli.options import check_output_file, make_number_parser, parse_size
from stereo_depth_ros.engines import BACKEND_NAMES, Context, Engine, open_engine
from stereo_depth_ros.engines.default_model import AUTO, graph_of
from stereo_depth_ros.engines.tensorrt import BuildOptions, obtain_engine
from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.benchmark import Timing, as_dict, as_text, benchmark
from stereo_depth_ros.evaluation.machine import describe_machine
from stereo_depth_ros.measurements import Speed, record_speed

# In less, the node has reported no times yet.
_SECONDS = (2.0, 3600.0)
_MAX_SOAK_MINUTES = 7 * 24 * 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``bench``."""
    parser.add_argument(
        "--model",
        action="append",
        help=f"an installed model or an .onnx file; repeatable (default: {AUTO})",
    )
    parser.add_argument(
        "--backend", action="append", choices=BACKEND_NAMES, help="repeatable (default: auto)"
    )
    parser.add_argument(
        "--tensorrt-modes", action="store_true", help="measure each way to run a TensorRT engine"
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        default="480x640",
        metavar="HxW",
        help="of the images (default: %(default)s)",
    )
    parser.add_argument(
        "--rounds", type=int, default=30, help="inferences of each model (default: %(default)s)"
    )
    parser.add_argument("--node", action="store_true", help="measure the node instead")
    parser.add_argument(
        "--seconds",
        type=make_number_parser(float, *_SECONDS),
        default=15.0,
        help="--node: per configuration, {:g} to {:g} (default: %(default)g)".format(*_SECONDS),
    )
    parser.add_argument(
        "--soak",
        type=make_number_parser(float, 0.0, _MAX_SOAK_MINUTES),
        default=0.0,
        metavar="MINUTES",
        help="--node: memory, 2 or more (default: not measured)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the tables."""
    check_output_file(arguments.json, ".json")
    if arguments.rounds < 1:
        raise InputError(f"--rounds is {arguments.rounds}; it must be 1 or more")
    models = arguments.model or [AUTO]
    backends = arguments.backend or ["auto"]
    machine = describe_machine()
    text, figures = (_bench_node if arguments.node else _bench_models)(arguments, models, backends)
    print(text + "\n\n" + "\n".join(f"- {name}: {value}" for name, value in machine.items()))
    if arguments.json:
        write_text(arguments.json, json.dumps({"machine": machine, **figures}, indent=1))
    return 0


def _bench_models(
    arguments: argparse.Namespace, models: list[str], backends: list[str]
) -> tuple[str, dict[str, Any]]:
    height, width = arguments.size
    openers: list[tuple[str, Callable[[], Engine]]] = []
    with BuildBar() as bar:
        open_one = partial(
            open_engine, height=height, width=width, context=Context(report=bar.show)
        )
        for model in models:
            for backend in backends:
                name = model if len(backends) == 1 else f"{model}, {backend}"
                openers.append((name, partial(open_one, model, backend=backend)))
            if arguments.tensorrt_modes:
                openers += _list_tensorrt_modes(model, bar)
        timings = benchmark(openers, width, height, arguments.rounds)
    _record(timings)
    return as_text(timings), as_dict(timings)


def _record(timings: Sequence[Timing]) -> None:
    """Keep the shortest time of each installed model on each device, for `stereo-depth models`."""
    fastest: dict[tuple[str, str], Timing] = {}
    for timing in sorted(timings, key=lambda timing: timing.inference[1], reverse=True):
        fastest[timing.model.partition(", ")[0], timing.device] = timing
    for (model, device), timing in fastest.items():
        if model in list_models():
            speed = Speed(timing.inference[1], timing.width, timing.height)
            record_speed(find_artifact(model), device, speed)


def _list_tensorrt_modes(model: str, bar: BuildBar) -> Iterator[tuple[str, Callable[[], Engine]]]:
    file = obtain_engine(
        find_artifact(graph_of(model)).verify_file(), BuildOptions(), report=bar.show
    )
    for cuda_graph in (True, False):
        for mapped in (False, True):
            name = f"{model}, {'graph' if cuda_graph else 'steps'}, "
            name += "mapped" if mapped else "pinned"
            yield name, partial(TensorRTEngine, file, cuda_graph=cuda_graph, mapped=mapped)


def _bench_node(
    arguments: argparse.Namespace, models: list[str], backends: list[str]
) -> tuple[str, dict[str, Any]]:
    if 0 < arguments.soak < 2:
        raise InputError("--soak compares the end with the first minute; give 2 minutes or more")
    if len(models) > 1 or len(backends) > 1:
        raise InputError("--node measures one model; give --model and --backend once")
    bench = import_ros("tools.bench")
    node = {"model": models[0], "backend": backends[0]}
    report = bench.bench_node(node, arguments.seconds, arguments.soak)
    return report.as_text(), report.as_dict()
