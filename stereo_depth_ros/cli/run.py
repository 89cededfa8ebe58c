"""Match one rectified pair from files.

Writes into DIR: disparity.npy (float32, px, a value for every pixel) and confidence.npy (float32,
0..1, 0 where the disparity is only a guess or a filter rejects it), both at the size of the input,
a PNG of each, overview.png with all there is to see, and results.json, which records what is a
result; with a calibration also depth.npy (float32, m along Z: NaN unknown, +Inf too far, -Inf too
near), depth.png, points.ply (m, left optical frame) and cloud.png. They replace the results of an
earlier run together, and no other file.

In Python: depth = stereo_depth_ros.open_model().match(left, right, calibration)
"""

from __future__ import annotations

import argparse
import sys

import numpy as np

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.calibration_files import FORMATS
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.options import (
    add_baseline_option,
    add_engine_options,
    add_settings_options,
    check_output_folder,
    make_settings,
    parse_folder,
)
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.pair_geometry import PairGeometry, find_geometry
from stereo_depth_ros.pair_images import load_pair
from stereo_depth_ros.result_folder import ResultFolder
from stereo_depth_ros.stereo_depth import MAKER, MATCH_FILES, METRIC_FILES, StereoDepth
from stereo_depth_ros.stereo_model import StereoModel, WrongPairError, open_model
from stereo_depth_ros.vergence import count_columns

_LARGE = 2_000_000
"""Pixels from which a user waits long enough to ask what is going on."""


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
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="match what can only give wrong depth too: views that are swapped, or the same",
    )
    add_settings_options(parser)
    parser.add_argument("-o", "--output", type=parse_folder, required=True, metavar="DIR")


def run(arguments: argparse.Namespace) -> int:
    """Match the pair and write the files."""
    check_output_folder(arguments.output)
    ResultFolder(arguments.output, MAKER).check_free(MATCH_FILES | METRIC_FILES)
    settings = make_settings(arguments)
    if arguments.calib == "":
        raise CalibrationError("--calib names no file; leave it out for disparity without depth")
    if not arguments.calib and (arguments.baseline or arguments.rectify):
        raise CalibrationError("--baseline and --rectify need --calib")
    left, right = load_pair(arguments.left, arguments.right)
    height, width = left.shape[:2]
    if arguments.max_disparity > width:
        raise InputError(
            f"--max-disparity {arguments.max_disparity} is more than the images' width of {width} "
            "px; 0 lets the model choose"
        )
    geometry = find_geometry(
        arguments.calib,
        width,
        height,
        baseline_m=arguments.baseline,
        rectify=arguments.rectify,
        options=("--baseline", "--rectify"),
    )
    _describe_rectification(geometry, arguments.calib)
    is_large = width * height >= _LARGE
    largest = arguments.max_disparity
    # The option counts what is saved, the engine what it sees once the views are moved apart.
    largest += count_columns(geometry.camera) if largest else 0
    with BuildBar() as bar:
        model = open_model(
            arguments.model,
            backend=arguments.backend,
            max_disparity=largest,
            size=(height, width),
            settings=settings,
            report=bar.show,
        )
    with model:
        print(f"engine: {model.spec}")
        if is_large:
            _announce(f"matching {width} x {height} px")
        depth = _match(model, left, right, geometry, not arguments.no_check)
    if is_large:
        _announce(f"drawing, and writing to {arguments.output}/")
    depth.save(arguments.output)
    _describe(depth)
    print(f"written to {arguments.output}/")
    return 0


def _match(
    model: StereoModel, left: np.ndarray, right: np.ndarray, geometry: PairGeometry, check: bool
) -> StereoDepth:
    try:
        return model.match(left, right, geometry, check=check)
    except WrongPairError as error:
        raise InputError(f"{error}. --no-check matches them all the same") from error


def _describe_rectification(geometry: PairGeometry, calibration: str | None) -> None:
    if geometry.rectify is not None:
        print(f"rectifying the images by {calibration}")
    elif geometry.is_in_doubt:
        print("the images are taken for rectified; where they are raw, add --rectify")


def _describe(depth: StereoDepth) -> None:
    match = depth.match
    print(
        f"disparity: median {np.median(match.disparity):.2f} px, valid "
        f"{100 * match.valid.mean():.1f} %, inference {1e3 * match.seconds['inference']:.0f} ms"
    )
    if depth.is_metric:
        finite = depth.depth[np.isfinite(depth.depth)]
        median = f"median {np.median(finite):.3f} m, " if finite.size else ""
        print(f"depth: {median}{finite.size} points, baseline {depth.camera.baseline:g} m")


def _announce(text: str) -> None:
    print(f"{text} …", file=sys.stderr, flush=True)
