"""Write a network as ONNX files that any backend of this package runs.

The graph takes camera images of exactly the given size, or with "--size any" of the size that it is
opened for, and does everything else itself; it is checked for what TensorRT mishandles and compared
with PyTorch on a rendered scene before the verb ends. That scene and PyTorch's outputs are written
beside it, as NAME.reference.npz: every TensorRT engine is tested on them. NAME.yaml is its card, by
which it can be run as a model. Mixed precision is for TensorRT 10 or newer; on a CPU it is slower
than fp32.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.network_names import NETWORKS_HELP, describe_variants
from stereo_depth_ros.cli.options import parse_size
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.share import share_directory

_PRECISIONS = {"fp32": ("fp32",), "mixed": ("mixed",), "both": ("fp32", "mixed")}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``export``."""
    parser.epilog = describe_variants()
    parser.add_argument("network", metavar="NETWORK", help=NETWORKS_HELP)
    weights = parser.add_mutually_exclusive_group()
    weights.add_argument(
        "--weights",
        type=Path,
        metavar="FILE.safetensors",
        help="imported or trained (default: those that come with the package, which lite has)",
    )
    weights.add_argument(
        "--random-weights", action="store_true", help="untrained, to try a network's speed"
    )
    parser.add_argument("--variant", help="default: that of the weights, else the network's first")
    parser.add_argument(
        "--size",
        type=_parse_size,
        required=True,
        metavar="HxW",
        help="of the images, or any, where the network can",
    )
    parser.add_argument(
        "--iterations",
        type=int,
        metavar="N",
        help="refinement steps, where the network has them (default: the variant's)",
    )
    parser.add_argument(
        "--max-disparity",
        type=int,
        metavar="D",
        help="px, where the network has a search range (default: the variant's)",
    )
    parser.add_argument(
        "--precision",
        default="fp32",
        choices=_PRECISIONS,
        help="both writes OUT.onnx in fp32 and OUT.mixed.onnx (default: %(default)s)",
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.onnx")


def run(arguments: argparse.Namespace) -> int:
    """Export, compare and report."""
    if arguments.output.suffix != ".onnx" and not arguments.output.is_dir():
        raise InputError(f"-o is {arguments.output}, no name of a graph; end it in .onnx")
    publish = import_training("export").publish
    network, metadata = _create_network(arguments)
    any_size = arguments.size is None
    height, width = arguments.size or USUAL_SIZE
    output = arguments.output
    publication = publish(
        network,
        height,
        width,
        output,
        any_size=any_size,
        precisions=_PRECISIONS[arguments.precision],
        metadata=metadata,
        report=lambda step: print(f"{step} …", file=sys.stderr, flush=True),
    )
    size = "any size" if any_size else f"{height}x{width}"
    print(f"{network.name} {network.variant}, {size}, {arguments.precision}")
    print(f"licence of the weights: {metadata['licence']}")
    if metadata["commercial"] == "false":
        print("NOT FOR COMMERCIAL USE under this licence")
    for precision, agreement in publication.agreements.items():
        print(f"{precision} against PyTorch: {agreement}")
    for file in publication.artifact.list_files():
        print(f"written: {file}, {file.stat().st_size / 1e6:.1f} MB")
    return 0


def _parse_size(text: str) -> tuple[int, int] | None:
    return None if text == "any" else parse_size(text)


def _create_network(arguments: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """Return the network that the arguments name, and the metadata of its graph."""
    changes = {
        key: value
        for key in ("iterations", "max_disparity")
        if (value := getattr(arguments, key)) is not None
    }
    create = import_training("networks").create_network
    if arguments.random_weights:
        network = create(arguments.network, arguments.variant, **changes).eval()
        licence = "none: random weights"
        return network, {"weights_sha256": "random", "licence": licence, "commercial": "true"}
    import_training("networks.registry").network_module(arguments.network)  # refuses unknown ones
    path = arguments.weights or share_directory() / "models" / f"{arguments.network}.safetensors"
    if not arguments.weights and not path.is_file():
        raise InputError(
            f"no weights of {arguments.network} come with the package; give --weights FILE "
            f"('stereo-depth models' says where to get them) or --random-weights"
        )
    network, info = import_training("checkpoints").load_weights(path, **changes)
    for asked, actual in ((arguments.network, info.network), (arguments.variant, info.variant)):
        if asked not in (None, actual):
            raise InputError(f"{path} holds {actual}, not {asked}")
    return network, info.as_graph_metadata()
