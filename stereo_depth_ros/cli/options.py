"""Options that several verbs share."""

from __future__ import annotations

import argparse

from stereo_depth_ros.engines import BACKENDS, Engine, open_engine

DEFAULT_MODEL = "sgbm"


def add_engine_options(parser: argparse.ArgumentParser) -> None:
    """Declare which engine a verb runs."""
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        help="a name in models/ or the path of an exported .onnx file (default: %(default)s)",
    )
    parser.add_argument("--backend", default="auto", choices=BACKENDS)
    parser.add_argument(
        "--max-disparity",
        type=int,
        default=0,
        metavar="PX",
        help="search range, for models that can change it (default: chosen by the model)",
    )


def engine_from(arguments: argparse.Namespace) -> Engine:
    """Open the engine that the arguments name."""
    return open_engine(
        arguments.model, backend=arguments.backend, max_disparity=arguments.max_disparity
    )
