"""Options that several verbs share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable
from pathlib import Path

from stereo_depth_ros.baseline import MAX_BASELINE_M
from stereo_depth_ros.engines import BACKEND_NAMES
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.settings import MAX_DISPARITY, MEANINGS, Meaning, Settings

MAX_SIDE = 16384
"""Longest side in px of images that a size option may name."""


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare which engine a verb runs."""
    parser.add_argument(
        "--model",
        default=AUTO,
        help="an installed model or the path of an .onnx or .engine file (default: %(default)s, "
        f"which is {NETWORK}, or {MATCHER} where that does not run)",
    )
    parser.add_argument(
        "--backend",
        default="auto",
        choices=BACKEND_NAMES,
        help="what runs it (default: %(default)s)",
    )
    _add_number(parser, "--max-disparity", "max_disparity", MAX_DISPARITY, 0, "PX")


def add_baseline_option(parser: argparse.ArgumentParser, description: str) -> None:
    """Declare the distance between the cameras, 0 where the calibration is to give it."""
    parser.add_argument(
        "--baseline",
        type=make_number_parser(float, 0.0, MAX_BASELINE_M),
        default=0.0,
        metavar="M",
        help=f"{description} (m, up to {MAX_BASELINE_M:g})",
    )


_SETTINGS = (
    ("--min-depth", "min_depth", "M"),
    ("--max-depth", "max_depth", "M"),
    ("--confidence", "confidence_threshold", "C"),
    ("--edge-filter", "edge_filter", "PX"),
    ("--speckle", "speckle_size", "PIXELS"),
)


def add_settings_options(parser: argparse.ArgumentParser) -> None:
    """Declare the depth limits and filters, with the meanings that the node's parameters have."""
    for option, setting, metavar in _SETTINGS:
        default = getattr(Settings, setting)
        _add_number(parser, option, setting, MEANINGS[setting], default, metavar)
    parser.add_argument("--lr-check", action="store_true", help=MEANINGS["lr_check"].description)


def make_settings(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the options of `add_settings_options` name.

    Raises
    ------
    InputError
        When they contradict each other.
    """
    values = {setting: getattr(arguments, setting) for _, setting, _ in _SETTINGS}
    return Settings(**values, lr_check=arguments.lr_check)


def _add_number(
    parser: argparse.ArgumentParser,
    option: str,
    name: str,
    meaning: Meaning,
    default: float,
    metavar: str,
) -> None:
    assert meaning.limits is not None
    low, high = meaning.limits
    parser.add_argument(
        option,
        dest=name,
        type=make_number_parser(type(default), low, high),
        default=default,
        metavar=metavar,
        help=f"{meaning.description} ({low:g} to {high:g}, default: %(default)s)",
    )


def make_number_parser(kind: type, low: float, high: float) -> Callable[[str], float]:
    """Return the ``type`` of an option that is a number of ``kind`` from ``low`` to ``high``."""

    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = float("nan")
        if not low <= value <= high:
            meaning = "a whole number" if kind is int else "a number"
            raise argparse.ArgumentTypeError(f"'{text}' is not {meaning} from {low:g} to {high:g}")
        return value

    return parse


def parse_folder(text: str) -> Path:
    """Return the folder that ``text`` names; an empty text names none."""
    if not text:
        raise argparse.ArgumentTypeError("it names no folder; write . for the current one")
    return Path(text)


def check_output_file(path: Path | None, *suffixes: str) -> None:
    """Check, before the work, that the file ``path`` can be written after it; None is no file.

    Raises
    ------
    InputError
        When its name has none of the ``suffixes``, where any are given: it may be a file of
        another kind.
    OSError
        When its folder is missing or not writable, or it is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: make the folder {path.parent} first")
    is_device = path.exists() and not path.is_file()
    if suffixes and path.suffix.lower() not in suffixes and not is_device:
        raise InputError(f"{path} cannot be written; end its name in {' or '.join(suffixes)}")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise PermissionError(f"{path} cannot be written: no permission")


def check_output_folder(path: Path) -> None:
    """Check, before the work, that files can be written into the folder ``path``, made if need be.

    Raises
    ------
    OSError
        When it is a file, lies below one, or is not writable.
    """
    existing = path
    while not existing.exists() and existing != existing.parent:
        existing = existing.parent
    if not existing.is_dir():
        raise NotADirectoryError(f"{existing} is a file, not a folder; choose another name")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{path} cannot be written: no permission in {existing}")


def parse_size(text: str) -> tuple[int, int]:
    """Return height and width in px of "480x640"."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is not HxW, such as 480x640")
    # Numbers of any length are compared by their length first: int() refuses very long ones.
    if any(len(side) > len(str(MAX_SIDE)) or int(side) > MAX_SIDE for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"'{excerpt(text)}' is too large: height and width are 1 to {MAX_SIDE} px"
        )
    return int(match[1]), int(match[2])
