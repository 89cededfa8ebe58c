"""Options that several verbs share."""

from __future__ import annotations

import argparse
import importlib
import os
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from stereo_depth_ros.engines import BACKENDS, Caller, Engine, open_engine
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.engines.tensorrt import BuildProgress
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.settings import MAX_DISPARITY, MEANINGS, Meaning, Settings

MAX_SIDE = 16384
"""Longest side in px of images that a size option may name."""


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare which engine a verb runs."""
    parser.add_argument(
        "--model",
        default=AUTO,
        help="a name in models/ or the path of an .onnx or .engine file (default: %(default)s, "
        f"which is {NETWORK}, or {MATCHER} where that does not run)",
    )
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    _add_number(parser, "--max-disparity", "max_disparity", MAX_DISPARITY, 0, "PX")


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


def settings_from(arguments: argparse.Namespace) -> Settings:
    """Return the settings that the options of `add_settings_options` name.

    Raises
    ------
    ValueError
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
        type=number(type(default), low, high),
        default=default,
        metavar=metavar,
        help=f"{meaning.description} ({low:g} to {high:g}, default: %(default)s)",
    )


def number(kind: type, low: float, high: float) -> Callable[[str], float]:
    """Return what parses an option as a number of ``kind`` from ``low`` to ``high``."""

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


def check_output_file(path: Path | None) -> None:
    """Check, before the work, that the file ``path`` can be written after it; None is no file.

    Raises
    ------
    OSError
        When its folder is missing or not writable, or it is a folder.
    """
    if path is None:
        return
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; name a file in it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path} cannot be written: make the folder {path.parent} first")
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


def ros_layer(module: str) -> ModuleType:
    """Import ``stereo_depth_ros.ros.<module>``.

    Raises
    ------
    ValueError
        Where ROS is not installed; the text says how to install it.
    """
    try:
        return importlib.import_module(f"stereo_depth_ros.ros.{module}")
    except ImportError as error:
        raise ValueError(
            f"{error}; source a ROS 2 installation, or pip install 'stereo_depth_ros[ros-jazzy]'"
        ) from error


def size(text: str) -> tuple[int, int]:
    """Parse "480x640" into height and width."""
    match = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is not HxW, such as 480x640")
    # Numbers of any length are compared by their length first: int() refuses very long ones.
    if any(len(side) > len(str(MAX_SIDE)) or int(side) > MAX_SIDE for side in match.groups()):
        raise argparse.ArgumentTypeError(
            f"'{excerpt(text)}' is too large: height and width are 1 to {MAX_SIDE} px"
        )
    return int(match[1]), int(match[2])


def training_layer(module: str) -> ModuleType:
    """Import ``stereo_depth_ros.<module>``, which needs PyTorch.

    Raises
    ------
    ValueError
        Where PyTorch, or another package of the extra "training", is not installed.
    """
    try:
        return importlib.import_module(f"stereo_depth_ros.{module}")
    except ImportError as error:
        raise ValueError(f"{error}; pip install 'stereo_depth_ros[training]'") from error


def engine_from(arguments: argparse.Namespace, vergence: int = 0) -> Engine:
    """Open the engine that the arguments name, and show how far its build is if it needs one.

    A search range of the arguments counts from zero; ``vergence`` is by how many px the views are
    moved apart before the engine sees them.
    """
    largest = arguments.max_disparity
    with BuildBar() as bar:
        return open_engine(
            arguments.model,
            backend=arguments.backend,
            max_disparity=largest + vergence if largest else 0,
            caller=Caller(report=bar.show),
        )


class BuildBar:
    """A bar from the first report of a build until closed; silent where the output is a file."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def __enter__(self) -> BuildBar:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def show(self, progress: BuildProgress) -> None:
        """Take up ``progress``."""
        if self._bar is None:
            look = "{desc} |{bar}| {n:.0f} % {elapsed}"
            self._bar = tqdm(total=100, disable=None, bar_format=look, leave=False)
        self._bar.set_description_str(progress.step, refresh=False)
        self._bar.n = progress.percent or 0
        self._bar.refresh()

    def close(self) -> None:
        """Remove the bar."""
        if self._bar is not None:
            self._bar.close()
