"""Process a recording: a bag, a video, or pairs of files.

SOURCE is a bag of ROS 2 (its folder, or one .mcap or .db3 file) or of ROS 1 (.bag), a video that
holds both views, a text file that lists LEFT RIGHT on each line, the folder of a dataset with
--layout, or two of a kind: folders or patterns of images, or videos.

TARGET becomes a bag where SOURCE is one, a video where its name ends as one, else a folder; beside
the results are report.html, which shows what became of the recording, and frames.jsonl, a line for
each pair. What is interrupted goes on where it was when it is started again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tqdm import tqdm

from stereo_depth_ros.calibration_files import FORMATS
from stereo_depth_ros.cli.build_bar import BuildBar
from stereo_depth_ros.cli.options import (
    add_baseline_option,
    add_engine_options,
    add_settings_options,
    make_number_parser,
    make_settings,
)
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.datasets import LAYOUTS
from stereo_depth_ros.recordings.interrupts import hold_interrupts
from stereo_depth_ros.recordings.matcher import Plan
from stereo_depth_ros.recordings.open_source import open_source
from stereo_depth_ros.recordings.open_target import DEFAULTS, FORMS, OUTPUTS, open_target
from stereo_depth_ros.recordings.process import process
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.recordings.rig import RECTIFY, Rig
from stereo_depth_ros.recordings.summary import count_pairs, describe
from stereo_depth_ros.recordings.video_source import SPLITS

_MAX_WORKERS = 256

_FEW = 0.05
"""Share of valid pixels below which something must be wrong."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``process``."""
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="one, or left and right")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="TARGET")
    parser.add_argument("--to", choices=FORMS, help="what TARGET becomes")
    listed = "; ".join(f"{form}: {', '.join(names)}" for form, names in OUTPUTS.items() if names)
    defaults = "; ".join(f"{form}: {', '.join(names)}" for form, names in DEFAULTS.items())
    parser.add_argument(
        "--outputs",
        nargs="+",
        default=[],
        metavar="NAME",
        help=f"what it is to hold (of a {listed}; default of a {defaults})",
    )
    parser.add_argument(
        "--originals", action="store_true", help="copy all other messages of the bag into TARGET"
    )
    add_engine_options(parser)
    for option, what in (
        ("--left", "left images"),
        ("--right", "right images"),
        ("--left-info", "left camera_info"),
        ("--right-info", "right camera_info"),
    ):
        parser.add_argument(
            option, metavar="TOPIC", help=f"topic of the {what} (default: by type and name)"
        )
    parser.add_argument(
        "--calib",
        metavar="FILE",
        help=f"calibration of the pair, instead of camera_info in the bag:\n{FORMATS}",
    )
    add_baseline_option(
        parser, "distance between the cameras, where the calibration gives none in metres"
    )
    parser.add_argument(
        "--rectify",
        choices=RECTIFY,
        default="auto",
        help="rectify the images by K, D and R; auto: where the topic's name and the calibration, "
        "or a file marked raw, ask for it (default: %(default)s)",
    )
    parser.add_argument("--layout", choices=LAYOUTS, help="SOURCE is such a dataset")
    parser.add_argument(
        "--split",
        default="auto",
        choices=SPLITS,
        help="where one video holds the two views (default: by its shape)",
    )
    parser.add_argument(
        "--no-check",
        action="store_true",
        help="match what can only give wrong depth too: views that are swapped, or the same",
    )
    parser.add_argument(
        "--workers",
        type=make_number_parser(int, 1, _MAX_WORKERS),
        default=1,
        metavar="N",
        help="pairs that are matched at once, each in a process of its own (default: %(default)s)",
    )
    add_settings_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Process the recording, and print what came of it."""
    if len(arguments.source) > 2:
        raise InputError(
            f"{len(arguments.source)} names for SOURCE; give one, or the left and the right one, "
            "patterns in quotes"
        )
    rig = Rig(arguments.calib or "", arguments.baseline, arguments.rectify)
    names = ("left", "right", "left_info", "right_info")
    topics = {name: getattr(arguments, name) for name in names}
    source = open_source(arguments.source, rig, topics, arguments.layout, arguments.split)
    for note in source.notes:
        print(note)
    target = open_target(
        arguments.output, source, arguments.to, arguments.outputs, arguments.originals
    )
    settings = make_settings(arguments)
    with BuildBar() as build_bar:
        progress = _Progress(source.expected, build_bar)
        plan = Plan(
            arguments.model,
            arguments.backend,
            arguments.max_disparity,
            settings,
            target.writer,
            report=build_bar.show,
        )
        try:
            summary = process(
                source,
                target,
                plan,
                arguments.workers,
                not arguments.no_check,
                progress.say,
                progress.step,
            )
        except KeyboardInterrupt:
            progress.close()
            print("what is done is kept; the same command goes on from there", file=sys.stderr)
            raise
        finally:
            progress.close()
    for line in describe(summary):
        print(line)
    print(f"written to {target.result}; {target.report} shows it")
    if summary.density < _FEW:
        print(
            f"warning: {100 * (1 - summary.density):.1f} % of the pixels have no {summary.kind}; "
            "views that are swapped, not rectified or not of one moment give that, and so do "
            f"limits and filters: look at {target.report}",
            file=sys.stderr,
        )
    return 0


class _Progress:
    """A bar with rate and time left, on standard error."""

    def __init__(self, total: int, build_bar: BuildBar) -> None:
        self._total = total
        self._build_bar = build_bar
        self._bar: tqdm | None = None
        self._earlier = 0

    def say(self, line: str) -> None:
        """Print a line, beside the bar."""
        self._build_bar.close()
        tqdm.write(line)

    def step(self, record: Record, is_new: bool) -> None:
        """Count a pair."""
        if not is_new:
            self._earlier += 1
            return
        if self._bar is None:
            if self._earlier:
                print(f"done before: {count_pairs(self._earlier)}", flush=True)
            # One that is half made cannot be closed.
            with hold_interrupts():
                self._bar = tqdm(total=self._total, initial=self._earlier, unit="pair")
        self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()
