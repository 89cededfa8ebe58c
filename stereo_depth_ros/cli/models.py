"""List the models, add published ones, carry them to another machine, or print what one costs.

Without an action: the models that are installed, and the published ones that `stereo-depth models
add` makes models of. Accuracy is either measured, by `stereo-depth evaluate` and on these cards, or
published by the authors: the two do not compare. Speed is what `stereo-depth bench` measured on
this device.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from stereo_depth_ros.artifact import (
    Artifact,
    find_artifact,
    list_models,
    models_folder,
)
from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.model_tables import describe_terms, print_models
from stereo_depth_ros.cli.network_names import NETWORKS_HELP, describe_variants
from stereo_depth_ros.cli.options import check_output_file, make_number_parser, parse_size
from stereo_depth_ros.engines.best_model import read_fastest
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.measurements import read_accuracies
from stereo_depth_ros.model_store import PACK_SUFFIX, pack, remove, unpack
from stereo_depth_ros.published import PUBLISHED, Source, find_source

_SIZE = "480x640"
_MAX_ITERATIONS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``models``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    add = actions.add_parser(
        "add", help="fetch and install published weights, or install a packed model"
    )
    add.add_argument(
        "model", metavar="NAME_OR_FILE", help="as `stereo-depth models` lists it, or a packed model"
    )
    add.add_argument(
        "--file", type=Path, metavar="FILE", help="the authors' checkpoint, where you have it"
    )
    add.add_argument(
        "--size",
        type=parse_size,
        metavar="HxW",
        help=f"of the images (default: any where the network allows it, else {_SIZE})",
    )
    add.add_argument(
        "--iterations",
        type=make_number_parser(int, 0, _MAX_ITERATIONS),
        metavar="N",
        help="refinement steps, where the network has them (default: as published)",
    )
    add.add_argument("--accept", action="store_true", help="the terms of the weights, unasked")
    for name, text in (
        ("path", "print where an installed model lies"),
        ("remove", "delete a model that was added"),
        ("pack", "write a model as one file, for machines without PyTorch or network"),
    ):
        action = actions.add_parser(name, help=text)
        action.add_argument("model", metavar="NAME")
        if name == "pack":
            action.add_argument(
                "-o", "--output", type=Path, metavar="FILE", help=f"default: NAME{PACK_SUFFIX}"
            )
    info = actions.add_parser(
        "info",
        help="what is known of a model; parameters, multiply-accumulates, nodes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=describe_variants(),
    )
    info.add_argument(
        "model",
        metavar="NAME_OR_FILE",
        help=f"a model, an .onnx graph, imported weights, or {NETWORKS_HELP}",
    )
    info.add_argument("--variant", help="of the network (default: its first)")
    info.add_argument(
        "--size",
        type=parse_size,
        default=_SIZE,
        metavar="HxW",
        help="of the images (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    actions = {
        None: lambda arguments: print_models(),
        "add": _add,
        "info": _info,
        "pack": _pack,
        "path": _path,
        "remove": _remove,
    }
    actions[arguments.action](arguments)
    return 0


def _add(arguments: argparse.Namespace) -> None:
    file = Path(arguments.model)
    if arguments.model not in PUBLISHED and file.is_file():
        if arguments.file or arguments.size or arguments.iterations:
            raise InputError(
                f"{file} is taken as a packed model, which is as it was packed: leave --file, "
                "--size and --iterations out, or name published weights"
            )
        artifact = unpack(file)
        print(describe_terms(artifact.card.licence, artifact.card.commercial, whole=True))
    elif file.suffix:  # which no name has
        raise InputError(f"there is no file {excerpt(file)} to add")
    else:
        source = find_source(arguments.model)
        adding = import_training("export.adding")
        _accept_terms(arguments.model, source, arguments.accept)
        artifact = adding.add_model(
            arguments.model,
            arguments.file,
            arguments.size,
            arguments.iterations,
            report=lambda step: print(step, flush=True),
        )
    print(f"installed in {_folder_of(artifact)}")
    print(f"next: stereo-depth run left.png right.png --model {artifact.name} -o out")


def _accept_terms(name: str, source: Source, is_accepted: bool) -> None:
    """Print the terms of the weights and, where they forbid commercial use, ask once.

    Raises
    ------
    InputError
        When they are not accepted.
    """
    print(f"{name}: {describe_terms(source.licence, source.commercial, whole=True)}")
    print(f"terms: {source.url}")
    # What was added before was accepted then.
    if source.commercial or is_accepted or name in list_models():
        return
    if not sys.stdin.isatty():
        raise InputError(f"{name} was not added: accept its terms with --accept")
    print("Do you accept these terms? [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise InputError(f"{name} was not added: its terms were not accepted")


def _path(arguments: argparse.Namespace) -> None:
    artifact = find_artifact(arguments.model)
    print(artifact.card_path or artifact.graph)


def _remove(arguments: argparse.Namespace) -> None:
    print(f"removed {remove(arguments.model)}")


def _pack(arguments: argparse.Namespace) -> None:
    artifact = find_artifact(arguments.model)
    output = arguments.output or Path(f"{artifact.name}{PACK_SUFFIX}")
    check_output_file(output, ".zip")
    pack(artifact, output)
    print(f"written: {output}, {output.stat().st_size / 1e6:.1f} MB")
    print(f"there: stereo-depth models add {output.name}")


def _info(arguments: argparse.Namespace) -> None:
    model = arguments.model
    if model in list_models():
        _print_artifact(find_artifact(model))
    elif model in PUBLISHED:
        _print_source(model, PUBLISHED[model])
    elif model.endswith(".onnx"):
        graph = import_training("checkpoints.cost").graph_cost(Path(model), *arguments.size)
        print(f"{model}: {graph.nodes} nodes; {_describe_cost(graph)}")
    else:
        _print_network(model, arguments.variant, *arguments.size)


def _print_artifact(artifact: Artifact) -> None:
    card = artifact.card
    print(f"{artifact.name}: {card.summary}")
    print(describe_terms(card.licence, card.commercial, whole=True))
    for accuracy in read_accuracies(artifact):
        print(f"EPE {accuracy.epe:.2f} px, bad-2 {accuracy.bad2:.1f} % on {accuracy.on}")
    if speed := read_fastest(artifact):
        print(f"{speed.ms:.1f} ms an inference at {speed.width} x {speed.height} here")
    for file in artifact.list_files():
        print(f"{file}, {file.stat().st_size / 1e6:.1f} MB")


def _print_source(name: str, source: Source) -> None:
    what = " ".join(filter(None, (source.network, source.variant)))
    print(f"{name}: {what}, not installed; {describe_terms(source.licence, source.commercial)}")
    print(f"{source.file or 'its file'} from {source.url}")
    if source.accuracy is not None:
        print(f"published: bad-2 {source.accuracy:.2f} % on Middlebury, half size, non-occluded")
    by_hand = "" if source.hub else " --file FILE"
    print(f"stereo-depth models add {name}{by_hand}")


def _print_network(network: str, variant: str | None, height: int, width: int) -> None:
    cost = import_training("checkpoints.cost")
    config: dict[str, Any] = {}
    if Path(network).is_file():
        info = import_training("checkpoints").read_info(Path(network))
        print(f"{network}: {info.network} {info.variant}, from {info.source}")
        print(describe_terms(info.licence, info.commercial, whole=True))
        network, variant, config = info.network, info.variant, info.config
    own = cost.network_cost(network, variant, height, width, **config)
    name = " ".join(filter(None, (network, variant)))
    print(f"{name} at {height}x{width}: {_describe_cost(own)}")


def _folder_of(artifact: Artifact) -> Path:
    return artifact.card_path.parent if artifact.card_path else models_folder()


def _describe_cost(cost: Any) -> str:
    return f"{cost.parameters / 1e6:.2f} M parameters, {cost.macs / 1e9:.2f} GMACs"
