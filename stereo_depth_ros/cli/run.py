"""Match one rectified pair from files.

Writes into DIR: disparity.npy (float32, px, a value for every pixel) and confidence.npy (float32,
0..1, 0 where the disparity is only a guess), both at the size of the input, and a PNG of each;
with a calibration also depth.npy (float32, m along Z: NaN unknown, +Inf too far, -Inf too near),
depth.png and points.ply (m, left optical frame).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from stereo_depth_ros import pictures
from stereo_depth_ros.atomic_file import write_npy
from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.calibration_file import FORMATS, read_calibration
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.cli.options import add_engine_options, engine_from
from stereo_depth_ros.pipeline import FrameError, Output, StereoPipeline, StereoResult
from stereo_depth_ros.settings import Settings

HELP = "match one pair of image files"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``run``."""
    parser.add_argument("left", metavar="LEFT", help="left image, rectified")
    parser.add_argument("right", metavar="RIGHT", help="right image, rectified")
    add_engine_options(parser)
    parser.add_argument("--calib", metavar="FILE", help=f"calibration of the pair:\n{FORMATS}")
    parser.add_argument(
        "--min-depth", type=float, default=Settings.min_depth, metavar="M", help="nearer is -Inf"
    )
    parser.add_argument(
        "--max-depth", type=float, default=Settings.max_depth, metavar="M", help="farther is +Inf"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR")


def run(arguments: argparse.Namespace) -> int:
    """Match the pair and write the files."""
    left, right = pictures.read_image(arguments.left), pictures.read_image(arguments.right)
    if left.shape != right.shape:
        raise FrameError(
            f"{arguments.left} is {left.shape[1]} x {left.shape[0]} and {arguments.right} "
            f"{right.shape[1]} x {right.shape[0]}: a rectified pair has one size"
        )
    height, width = left.shape[:2]
    if arguments.calib:
        wanted = {Output.DEPTH}
        calibrations = read_calibration(arguments.calib, width, height)
        camera = StereoCamera.from_calibrations(*calibrations)
    else:
        wanted = set()
        camera = StereoCamera.uncalibrated(width, height)
    if (camera.width, camera.height) != (width, height):
        raise CalibrationError(
            f"{arguments.calib} is for {camera.width} x {camera.height} images, not "
            f"{width} x {height}"
        )
    for warning in camera.warnings:
        print(f"warning: {warning}")
    engine = engine_from(arguments)
    print(f"engine: {engine.spec}")
    settings = Settings(min_depth=arguments.min_depth, max_depth=arguments.max_depth)
    result = StereoPipeline(engine, settings).process(left, right, camera, wanted)
    engine.close()
    arguments.output.mkdir(parents=True, exist_ok=True)
    _write(arguments.output, result)
    return 0


def _write(folder: Path, result: StereoResult) -> None:
    write_npy(folder / "disparity.npy", result.matched)
    write_npy(folder / "confidence.npy", result.certainty)
    pictures.write_image(folder / "disparity.png", pictures.colour_disparity(result.matched))
    pictures.write_image(folder / "confidence.png", pictures.colour_confidence(result.certainty))
    print(
        f"disparity: median {np.median(result.matched):.2f} px, known "
        f"{100 * result.known.mean():.1f} %, inference {1e3 * result.seconds['inference']:.0f} ms"
    )
    if result.depth is not None:
        write_npy(folder / "depth.npy", result.depth)
        pictures.write_image(folder / "depth.png", pictures.colour_depth(result.depth))
        points = result.camera.points(result.depth)
        count = pictures.write_ply(folder / "points.ply", points, result.image)
        finite = result.depth[np.isfinite(result.depth)]
        median = f"median {np.median(finite):.3f} m, " if finite.size else ""
        print(f"depth: {median}{count} points, baseline {result.camera.baseline:g} m")
    print(f"written to {folder}/")
