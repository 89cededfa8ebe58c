"""Measure, on this machine and in one run.

--node starts the real node and a simulated camera over DDS at 640x480 and 1280x720, once with
depth alone subscribed and once with everything, and prints the time of every stage beside the cost
of copying the same bytes; then what the default and the shipped transport deliver of 30 images per
second; and, with --soak, the node's memory.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from stereo_depth_ros.cli.options import add_engine_options, ros_layer

HELP = "measure what the node adds to the inference"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``bench``."""
    parser.add_argument("--node", action="store_true", required=True, help="benchmark the node")
    add_engine_options(parser)
    parser.add_argument("--seconds", type=float, default=15.0, help="per configuration")
    parser.add_argument("--soak", type=float, default=0.0, metavar="MINUTES", help="2 or more")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here too")


def run(arguments: argparse.Namespace) -> int:
    """Measure and print the tables."""
    if 0 < arguments.soak < 2:
        raise ValueError("--soak compares the end with the first minute; give 2 minutes or more")
    node = {
        "model": arguments.model,
        "backend": arguments.backend,
        "max_disparity": arguments.max_disparity,
    }
    bench = ros_layer("bench")
    found = bench.bench_node(node, arguments.seconds, arguments.soak)
    print(bench.as_text(found))
    if arguments.json:
        arguments.json.write_text(json.dumps(found.as_dict(), indent=1))
    return 0
