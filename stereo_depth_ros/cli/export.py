"""Write a network as one ONNX file that any backend of this package runs.

The graph takes camera bytes of exactly the given size and holds everything else; it is checked for
what TensorRT mishandles and compared with PyTorch on a rendered scene before the verb ends. That
scene and PyTorch's answers stay beside it, as NAME.reference.npz: every TensorRT engine must prove
itself on them. Mixed precision is for TensorRT 10 or newer; on a CPU it is slower than fp32.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from stereo_depth_ros.cli.options import size, training_layer
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.self_test import (
    reference_beside,
    reference_of,
    rendered_pair,
)
from stereo_depth_ros.engines.tensorrt.verdict import add_noise
from stereo_depth_ros.share import share_directory

HELP = "write a network as an ONNX graph"
_FARTHEST = 0.1  # px in the median, from PyTorch in float32


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of ``export``."""
    parser.add_argument("network", metavar="NETWORK")
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
    parser.add_argument("--size", type=size, required=True, metavar="HxW", help="of the images")
    parser.add_argument(
        "--iterations", type=int, metavar="N", help="refinement steps, where the network has them"
    )
    parser.add_argument(
        "--max-disparity", type=int, metavar="D", help="px, where the network has a search range"
    )
    parser.add_argument("--precision", default="fp32", choices=("fp32", "mixed"))
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT.onnx")


def run(arguments: argparse.Namespace) -> int:
    """Export, compare, and say what was written."""
    export = training_layer("export")
    network, metadata = _network(arguments)
    height, width = arguments.size
    output = arguments.output
    left, right = rendered_pair(height, width)
    agreement = training_layer("export.agreement")
    expected = agreement.outputs_of(network, left, right)
    untried = output.with_name(f"{output.stem}.untried.onnx")
    export.export_onnx(
        network, height, width, untried, precision=arguments.precision, metadata=metadata
    )
    print(f"{network.name} {network.variant}, {height}x{width}, {arguments.precision}")
    print(f"licence of the weights: {metadata['licence']}")
    if metadata["commercial"] == "false":
        print("NOT FOR COMMERCIAL USE under this licence")
    try:
        found = agreement.compare(untried, left, right, expected.disparity)
        if not found.median <= _FARTHEST:
            raise ValueError(
                f"the graph answers otherwise than PyTorch ({found}) and was not kept; "
                "try --precision fp32, or other weights"
            )
        untried.replace(output)
    finally:
        untried.unlink(missing_ok=True)
    print(f"against PyTorch: {found}")
    graph = read_graph(output)
    noisy = agreement.outputs_of(network, add_noise(left), add_noise(right))
    reference = reference_of(graph, (left, right), expected, noisy, "PyTorch in float32")
    reference.save(reference_beside(graph))
    print(f"written to {output}, {output.stat().st_size / 1e6:.1f} MB")
    return 0


def _network(arguments: argparse.Namespace) -> tuple[Any, dict[str, str]]:
    """Return the network that the arguments name, and what its graph says of the weights."""
    changes = {
        key: value
        for key in ("iterations", "max_disparity")
        if (value := getattr(arguments, key)) is not None
    }
    create = training_layer("networks").create_network
    if arguments.random_weights:
        network = create(arguments.network, arguments.variant, **changes).eval()
        licence = "none: random weights"
        return network, {"weights_sha256": "random", "licence": licence, "commercial": "true"}
    path = arguments.weights or share_directory() / "models" / f"{arguments.network}.safetensors"
    if not arguments.weights and not path.is_file():
        raise ValueError(
            f"no weights of {arguments.network} come with the package; give --weights FILE "
            f"('stereo-depth models' says where to get them) or --random-weights"
        )
    network, info = training_layer("checkpoints").load_weights(path)
    for asked, found in ((arguments.network, info.network), (arguments.variant, info.variant)):
        if asked not in (None, found):
            raise ValueError(f"{path} holds {found}, not {asked}")
    if changes:
        weights = network.state_dict()
        network = create(info.network, info.variant, **{**info.config, **changes}).eval()
        network.load_state_dict(weights)
    metadata = {"licence": info.licence, "commercial": "true" if info.commercial else "false"}
    return network, metadata | ({"weights_sha256": info.sha256} if info.sha256 else {})
