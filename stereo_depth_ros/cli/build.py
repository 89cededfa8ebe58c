"""Build the TensorRT engine of a graph for this machine's GPU, and test it.

Takes minutes, on small boards an hour. The engine is cached, and whatever asks for the same graph
with the same options starts with it at once; it is used only after its outputs agreed with those of
the graph in float32. Ctrl-C stops the build and leaves nothing behind.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.options import parse_size
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.default_model import graph_of
from stereo_depth_ros.engines.tensorrt import BuildOptions, obtain_engine
from stereo_depth_ros.engines.tensorrt.engine_file import copy_engine
from stereo_depth_ros.engines.tensorrt.options import PRECISIONS
from stereo_depth_ros.errors import InputError

SUFFIX = ".engine"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``build``."""
    parser.add_argument("graph", metavar="GRAPH.onnx", help="or the name of an installed model")
    parser.add_argument(
        "--precision",
        default="auto",
        choices=PRECISIONS,
        help="mixed is that of NAME.mixed.onnx beside NAME.onnx; auto takes it where it is there "
        "and passes the self-test (default: %(default)s)",
    )
    parser.add_argument(
        "--workspace",
        type=int,
        default=0,
        metavar="MB",
        help="limit of scratch memory (default: 3/8 of the GPU's)",
    )
    parser.add_argument(
        "--level", type=int, metavar="0..5", help="how long to look for faster kernels (default: 3)"
    )
    parser.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help="of the images, for a graph for any size (default: the one it is made for)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar=f"FILE{SUFFIX}",
        help="write a copy there too, to be given as model",
    )


def run(arguments: argparse.Namespace) -> int:
    """Build, test and report."""
    options = BuildOptions(arguments.precision, arguments.workspace, arguments.level)
    if arguments.output is not None and arguments.output.suffix != SUFFIX:
        raise InputError(f"--output is {arguments.output}; its name must end in {SUFFIX}")
    artifact = find_artifact(graph_of(arguments.graph))
    if artifact.card.engine != "onnx":
        raise EngineError(f"model '{arguments.graph}' is no graph; there is nothing to build")
    with BuildBar() as bar:
        try:
            file = obtain_engine(
                artifact.verify_file(), options, size=arguments.size, report=bar.show
            )
        except KeyboardInterrupt:
            bar.close()
            print("stopped; nothing was written")
            return 130
    build = file.sidecar["build"]
    for note in file.notes:
        print(f"not in {note}")
    print(
        f"{file.precision} engine: {file.sidecar['plan']['bytes'] / 1e6:.1f} MB, "
        f"{build['layers']} layers, built in {build['seconds']:.0f} s ({build['why']})"
    )
    print(f"self-test: {file.self_test}")
    if arguments.workspace or arguments.level is not None:
        level = -1 if arguments.level is None else arguments.level
        print(
            "the node takes it with the parameters "
            f"build_workspace_mb: {arguments.workspace}, build_level: {level}"
        )
    if arguments.output is not None:
        file = copy_engine(file, arguments.output)
    print(f"engine file: {file.path}")
    return 0
