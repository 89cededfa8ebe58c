"""Run the node on a simulated camera, or on a pair of files, and judge what it publishes.

Starts the real node and a simulated camera as two processes over DDS, prints one table and writes
pictures and the cloud into DIR, which may hold nothing but what an earlier demo wrote. Needs rclpy:
a sourced ROS 2, or pip install 'stereo_depth_ros[ros-jazzy]'.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from stereo_depth_ros import pictures
from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.cli.layers import import_ros
from stereo_depth_ros.cli.options import (
    add_baseline_option,
    add_engine_options,
    check_output_folder,
    parse_folder,
)
from stereo_depth_ros.engines.default_model import AUTO
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.result_folder import ResultFolder

_LOG = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``demo``."""
    add_engine_options(parser)
    parser.add_argument("--left", metavar="FILE", help="left image of a pair of your own")
    parser.add_argument("--right", metavar="FILE", help="right image")
    parser.add_argument("--calib", metavar="FILE", help="its calibration, as for 'run'")
    add_baseline_option(parser, "its baseline, as for 'run'")
    parser.add_argument(
        "-o",
        "--output",
        type=parse_folder,
        default=Path("demo_out"),
        metavar="DIR",
        help="default: %(default)s",
    )


def run(arguments: argparse.Namespace) -> int:
    """Run the demo and print its table."""
    demo = import_ros("tools.demo")
    # Faults of the arguments before any process starts, in whose log nobody would see them.
    check_output_folder(arguments.output)
    ResultFolder(arguments.output, demo.MAKER).check_alone(allowed=demo.LOGS.values())
    if arguments.model != AUTO:
        find_artifact(arguments.model)
    own = (arguments.left, arguments.right, arguments.calib)
    if any(own) and not all(own):
        raise InputError(
            "a pair of your own needs --left, --right and --calib (LEFT=, RIGHT= and CALIB= with "
            "make), since depth needs focal length and baseline; 'stereo-depth run' gives "
            "disparity without"
        )
    camera = {}
    if all(own):
        height, width = pictures.read_image(arguments.left).shape[:2]
        pair = read_calibration(arguments.calib, width, height)
        for warning in StereoCamera.from_calibrations(
            *pair, baseline=arguments.baseline, option="--baseline"
        ).warnings:
            _LOG.warning("%s", warning)
        camera = {
            "left_file": str(Path(arguments.left).resolve()),
            "right_file": str(Path(arguments.right).resolve()),
            "calibration_file": _resolve_calibration(arguments.calib),
            "noise": 0.0,
        }
    node = {
        "model": arguments.model,
        "backend": arguments.backend,
        "max_disparity": arguments.max_disparity,
        "baseline": arguments.baseline,
    }
    print(demo.run_demo(node, camera, arguments.output))
    return 0


def _resolve_calibration(path: str) -> str:
    """Return ``path``, one file or two joined by a comma, as absolute paths."""
    parts = [path] if Path(path).is_file() else path.split(",", 1)
    return ",".join(str(Path(part).expanduser().resolve()) for part in parts)
