"""Options that several verbs share."""

from __future__ import annotations

import argparse
import importlib
import re
from types import ModuleType

from tqdm import tqdm

from stereo_depth_ros.engines import BACKENDS, Caller, Engine, open_engine
from stereo_depth_ros.engines.tensorrt import BuildProgress

DEFAULT_MODEL = "sgbm"


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare which engine a verb runs."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a name in models/ or the path of an .onnx or .engine file (default: %(default)s)",
    )
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    parser.add_argument(
        "--max-disparity",
        type=int,
        default=0,
        metavar="PX",
        help="search range, for models that can change it (default: chosen by the model)",
    )


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
    found = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"'{text}' is not HxW, such as 480x640")
    return int(found[1]), int(found[2])


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


def engine_from(arguments: argparse.Namespace) -> Engine:
    """Open the engine that the arguments name, and show how far its build is if it needs one."""
    with BuildBar() as bar:
        return open_engine(
            arguments.model,
            backend=arguments.backend,
            max_disparity=arguments.max_disparity,
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
