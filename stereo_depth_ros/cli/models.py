"""List the models, fetch published weights, or print what a model costs.

Without an action: the installed models, and the checkpoints that `stereo-depth import` takes, with
where they are from, their size, licence and terms.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from stereo_depth_ros.artifact import find_artifact, list_models
from stereo_depth_ros.cli.layers import import_training
from stereo_depth_ros.cli.network_names import NETWORKS_HELP, describe_variants
from stereo_depth_ros.cli.options import parse_size
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK
from stereo_depth_ros.model_card import ModelError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the actions of ``models``."""
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    get = actions.add_parser("get", help="fetch published weights, or print where they are")
    get.add_argument("name", metavar="NAME", help="as `stereo-depth models` lists it")
    get.add_argument(
        "-o", "--output", type=Path, default=Path(), metavar="DIR", help="default: here"
    )
    info = actions.add_parser(
        "info",
        help="parameters, multiply-accumulates, nodes",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=describe_variants(),
    )
    info.add_argument(
        "model",
        metavar="FILE_OR_NETWORK",
        help=f"an .onnx graph, imported weights, or {NETWORKS_HELP}",
    )
    info.add_argument("--variant", help="of the network (default: its first)")
    info.add_argument(
        "--size",
        type=parse_size,
        default="480x640",
        metavar="HxW",
        help="of the images (default: %(default)s)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do the action."""
    {None: _list, "get": _get, "info": _info}[arguments.action](arguments)
    return 0


def _list(arguments: argparse.Namespace) -> None:
    print("Installed (--model NAME):")
    print(f"  {AUTO}, the default, is {NETWORK}, or {MATCHER} where that does not run")
    artifacts, faults = [], []
    for name in list_models():
        try:
            artifacts.append(find_artifact(name))
        except ModelError as error:
            faults.append(str(error))
    _print_table(
        [
            (
                artifact.name,
                _describe_size(
                    artifact.file.stat().st_size
                    if artifact.file and artifact.file.is_file()
                    else None
                ),
                _describe_terms(artifact.card.licence, artifact.card.commercial),
            )
            for artifact in artifacts
        ]
    )
    for fault in faults:
        print(f"  {fault}")
    print("\nPublished weights (stereo-depth models get NAME, then stereo-depth import FILE):")
    sources = import_training("checkpoints.hub").list_published()
    _print_table(
        [
            (
                name,
                _describe_size(source.size),
                _describe_terms(source.licence, source.commercial),
                source.url,
            )
            for name, source in sources.items()
        ]
    )


def _get(arguments: argparse.Namespace) -> None:
    hub = import_training("checkpoints.hub")
    source = hub.find(arguments.name)
    print(f"{arguments.name}: {_describe_terms(source.licence, source.commercial)}")
    if source.hub:
        file = hub.fetch(source, arguments.output)
        if not source.sha256:
            print("not verified: its hash is not known")
        print(f"{file}\nnext: stereo-depth import {file} -o {file.stem}.safetensors")
    else:
        what = source.file or "its file"
        print(f"fetch {what} from {source.url} by hand, then: stereo-depth import FILE -o …")


def _info(arguments: argparse.Namespace) -> None:
    cost = import_training("checkpoints.cost")
    height, width = arguments.size
    if arguments.model.endswith(".onnx"):
        graph = cost.graph_cost(Path(arguments.model))
        print(f"{arguments.model}: {graph.nodes} nodes; {_describe_cost(graph)}")
        return
    network, variant, config = arguments.model, arguments.variant, {}
    if Path(arguments.model).is_file():
        info = import_training("checkpoints").read_info(Path(arguments.model))
        network, variant, config = info.network, info.variant, info.config
        print(f"{arguments.model}: {network} {variant}, from {info.source}")
        print(_describe_terms(info.licence, info.commercial))
    own = cost.network_cost(network, variant, height, width, **config)
    name = " ".join(filter(None, (network, variant)))
    print(f"{name} at {height}x{width}: {_describe_cost(own)}")


def _describe_size(size: int | None) -> str:
    return f"{size / 1e6:.1f} MB" if size else ""


def _describe_terms(licence: str, commercial: bool) -> str:
    return f"{licence}{'' if commercial else '; NOT FOR COMMERCIAL USE'}"


def _describe_cost(cost: Any) -> str:
    return f"{cost.parameters / 1e6:.2f} M parameters, {cost.macs / 1e9:.2f} GMACs"


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(f"  {'  '.join(cells)}".rstrip())
