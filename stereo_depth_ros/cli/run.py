"""Match one rectified pair from files.

Writes into DIR: disparity.npy (float32, px, a value for every pixel) and confidence.npy (float32,
0..1, 0 where the disparity is only a guess or a filter rejects it), both at the size of the input,
and a PNG of each; with a calibration also depth.npy (float32, m along Z: NaN unknown, +Inf too far,
-Inf too near), depth.png and points.ply (m, left optical frame). Without one, the last three of an
earlier run are removed from DIR.
"""

from __future__ import annotations

import argparse
from contextlib import closing
from pathlib import Path

import numpy as np

from stereo_depth_ros import pictures
from stereo_depth_ros.atomic_file import write_npy
from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.calibration_files import FORMATS, read_calibration
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.options import (
    add_baseline_option,
    add_engine_options,
    add_settings_options,
    check_output_folder,
    make_settings,
    parse_folder,
)
from stereo_depth_ros.engines import Context, Engine, open_engine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_monitor import describe_pair
from stereo_depth_ros.pipeline import FrameError, StereoPipeline, StereoResult, columns_of_vergence
from stereo_depth_ros.rectification import RectificationMap, rectification_map

_MATCH = ("disparity.npy", "disparity.png", "confidence.npy", "confidence.png")
_METRIC = ("depth.npy", "depth.png", "points.ply")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``run``."""
    parser.add_argument("left", metavar="LEFT", help="left image")
    parser.add_argument("right", metavar="RIGHT", help="right image")
    add_engine_options(parser)
    parser.add_argument("--calib", metavar="FILE", help=f"calibration of the pair:\n{FORMATS}")
    add_baseline_option(
        parser, "distance between the cameras, where the calibration gives none in metres"
    )
    parser.add_argument(
        "--rectify",
        action="store_true",
        help="LEFT and RIGHT are raw: rectify them by K, D and R; needless for formats marked raw",
    )
    add_settings_options(parser)
    parser.add_argument("-o", "--output", type=parse_folder, required=True, metavar="DIR")


def run(arguments: argparse.Namespace) -> int:
    """Match the pair and write the files."""
    check_output_folder(arguments.output)
    _check_inputs_survive(arguments)
    settings = make_settings(arguments)
    if arguments.calib == "":
        raise CalibrationError("--calib names no file; leave it out for disparity without depth")
    left, right = pictures.read_pair(arguments.left, arguments.right)
    if left.shape != right.shape:
        raise FrameError(
            f"{arguments.left} is {left.shape[1]} x {left.shape[0]} and {arguments.right} "
            f"{right.shape[1]} x {right.shape[0]}: a rectified pair has one size"
        )
    if not arguments.calib and (arguments.baseline or arguments.rectify):
        raise CalibrationError("--baseline and --rectify need --calib")
    height, width = left.shape[:2]
    if arguments.max_disparity > width:
        raise InputError(
            f"--max-disparity {arguments.max_disparity} is more than the images' width of {width} "
            "px; 0 lets the model choose"
        )
    maps = None
    if arguments.calib:
        outputs = {Output.DEPTH}
        calibrations = read_calibration(arguments.calib, width, height)
        camera = StereoCamera.from_calibrations(
            *calibrations, baseline=arguments.baseline, option="--baseline"
        )
        maps = _choose_rectification(calibrations, arguments)
    else:
        outputs = set()
        camera = StereoCamera.without_calibration(width, height)
    for warning in [*camera.warnings, *describe_pair(left, right, camera.offset, maps)]:
        # Cameras that converge put infinity elsewhere, which only a calibration tells.
        hint = "; or the cameras converge: give --calib" if warning == SWAPPED else ""
        print(f"warning: {warning}{'' if arguments.calib else hint}")
    with closing(_open_engine(arguments, columns_of_vergence(camera))) as engine:
        print(f"engine: {engine.spec}")
        result = StereoPipeline(engine, settings).process(left, right, camera, outputs, maps)
    arguments.output.mkdir(parents=True, exist_ok=True)
    _write(arguments.output, result)
    return 0


def _open_engine(arguments: argparse.Namespace, vergence: int) -> Engine:
    """Open the engine, for views that are moved apart by ``vergence`` px before it sees them."""
    max_disparity = arguments.max_disparity
    with BuildBar() as bar:
        return open_engine(
            arguments.model,
            backend=arguments.backend,
            context=Context(
                report=bar.show, max_disparity=max_disparity + vergence if max_disparity else 0
            ),
        )


def _check_inputs_survive(arguments: argparse.Namespace) -> None:
    outputs = {(arguments.output / name).resolve() for name in (*_MATCH, *_METRIC)}
    calibrations = (arguments.calib or "").split(",")
    for name in (arguments.left, arguments.right, arguments.calib, *calibrations):
        if name and Path(name).resolve() in outputs:
            raise InputError(f"{name} would be overwritten by a result; give another folder to -o")


def _choose_rectification(
    pair: tuple[Calibration, Calibration], arguments: argparse.Namespace
) -> tuple[RectificationMap, RectificationMap] | None:
    if arguments.rectify or pair[0].is_raw:
        print(f"rectifying the images by {arguments.calib}")
        left, right = (rectification_map(one, "leave out --rectify") for one in pair)
        return left, right
    if not all(calibration.is_rectified for calibration in pair):
        print("the images are taken for rectified; where they are raw, add --rectify")
    return None


def _write(folder: Path, result: StereoResult) -> None:
    match = result.match
    confidence = np.where(match.valid, match.confidence, np.float32(0))
    write_npy(folder / "disparity.npy", match.disparity)
    write_npy(folder / "confidence.npy", confidence)
    pictures.write_image(folder / "disparity.png", pictures.colour_disparity(match.disparity))
    pictures.write_image(folder / "confidence.png", pictures.colour_confidence(confidence))
    print(
        f"disparity: median {np.median(match.disparity):.2f} px, valid "
        f"{100 * match.valid.mean():.1f} %, inference {1e3 * match.seconds['inference']:.0f} ms"
    )
    depth = result.outputs.get(Output.DEPTH)
    if depth is not None:
        write_npy(folder / "depth.npy", depth)
        pictures.write_image(folder / "depth.png", pictures.colour_depth(depth))
        points = match.camera.points(depth)
        count = pictures.write_ply(folder / "points.ply", points, match.image)
        finite = depth[np.isfinite(depth)]
        median = f"median {np.median(finite):.3f} m, " if finite.size else ""
        print(f"depth: {median}{count} points, baseline {match.camera.baseline:g} m")
    else:
        _remove_metric(folder)
    print(f"written to {folder}/")


def _remove_metric(folder: Path) -> None:
    """Remove what an earlier run with a calibration wrote: it is of another pair or run."""
    stale = [folder / name for name in _METRIC if (folder / name).is_file()]
    for path in stale:
        path.unlink()
    if stale:
        print(f"removed {', '.join(path.name for path in stale)} of an earlier run")
