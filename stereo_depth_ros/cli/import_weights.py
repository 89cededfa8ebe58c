"""Turn a checkpoint of a network's authors into checked weights.

Finds out which network and variant FILE is of, whichever way it is wrapped (torch.save of a state
dict under any key, of a training state, of a whole module, .safetensors, an unpacked folder, a zip
around one file), compares every entry with that network, and writes the weights as .safetensors
with their network, licence and origin. Nothing in FILE is executed. `stereo-depth models` lists
where to get checkpoints.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.network_names import NETWORKS_HELP
from stereo_depth_ros.errors import InputError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``import``."""
    parser.add_argument("file", type=Path, metavar="FILE", help="checkpoint, as downloaded")
    parser.add_argument(
        "--network", help=f"consider this network only, {NETWORKS_HELP} (default: all)"
    )
    parser.add_argument(
        "--set",
        type=_parse_setting,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="build the network with this, e.g. iterations=4; repeatable",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.safetensors")


def run(arguments: argparse.Namespace) -> int:
    """Import the file and print what it is."""
    if arguments.output.resolve() == arguments.file.resolve():
        raise InputError(f"{arguments.file} would be overwritten; give another name to -o")
    checkpoints = import_training("checkpoints")
    info = checkpoints.import_weights(
        arguments.file, arguments.output, arguments.network, dict(arguments.set)
    )
    print(f"{arguments.file} is {info.network} {info.variant}; licence: {info.licence}")
    for note in info.notes:
        print(f"note: {note}")
    if not info.commercial:
        print("NOT FOR COMMERCIAL USE under this licence; the file and its graphs will say so")
    print(f"written to {arguments.output}")
    return 0


def _parse_setting(text: str) -> tuple[str, Any]:
    """Split "key=value", the value in JSON or else as it stands."""
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"'{text}' is not KEY=VALUE")
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value
