"""From a finished run to the files that a robot needs: weights, graph, model card."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from stereo_depth_ros.checkpoints import WeightsInfo, read_info, save_weights
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.evaluation.evaluate import BESIDE, evaluate
from stereo_depth_ros.evaluation.report import (
    COLUMNS,
    confidence_medians,
    fault_medians,
    medians,
)
from stereo_depth_ros.evaluation.sample import digest_of
from stereo_depth_ros.export import publish
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.model_card import write_card
from stereo_depth_ros.networks import StereoNetwork
from stereo_depth_ros.networks.lite import Lite
from stereo_depth_ros.training.data import SCENES, parse_data
from stereo_depth_ros.training.recipe import Recipe
from stereo_depth_ros.training.recipes import recipe_of
from stereo_depth_ros.training.trainer import Trainer

_OWN_TERMS = "your own: trained from random weights; the terms of its data may bind it"


@dataclass(frozen=True)
class RealPairs:
    """A ``folder`` of pairs with truth, in a ``layout`` of `evaluation.datasets.LAYOUTS`."""

    folder: Path
    layout: str


def check_size(network: StereoNetwork, size: tuple[int, int]) -> None:
    """Check, before the training, that a graph of ``size`` (height, width) px can follow it.

    Raises
    ------
    InputError
        For a side below the network's multiple.
    """
    least = network.multiple
    if min(size) < least:
        raise InputError(
            f"the graph's size is {size[0]}x{size[1]}; {network.name} needs {least}x{least} or more"
        )


def release(trainer: Trainer, size: tuple[int, int], pairs: RealPairs | None = None) -> Path:
    """Write weights, graphs of ``size`` (height, width) px, reference and card; return the last.

    The card's figures are measured here: on the pairs of the validation and, where ``pairs`` are
    given, on those, with SGBM beside it.
    """
    network, folder = trainer.average, trainer.folder
    validation = trainer.make_validation()
    figures = validation.figures(network)
    network = network.cpu()
    name = network.name
    height, width = size
    info = _describe_weights(network, trainer.recipe)
    save_weights(folder / f"{name}.safetensors", network.state_dict(), info)
    publication = publish(
        network,
        height,
        width,
        folder / f"{name}.onnx",
        precisions=("fp32", "mixed"),
        metadata=info.as_graph_metadata(),
        card={
            "summary": (
                f"{_describe_network(network)}, for {width}x{height} images, trained on "
                f"{_describe_data(trainer.recipe)} for {trainer.step} steps"
                f"{_describe_begin(trainer.recipe)}."
            ),
            "command": command(trainer.recipe, trainer.processes, size, pairs),
            "measured": {
                "on": validation.description,
                **{key: round(value, 3) for key, value in figures.items()},
            },
        },
    )
    card_path = publication.artifact.card_path
    assert card_path is not None
    if pairs is not None:
        card = publication.artifact.card
        real = _on_real(name, publication.artifact.graph, pairs)
        write_card(card_path, replace(card, measured={**card.measured, "real": real}))
    return card_path


def _describe_weights(network: StereoNetwork, recipe: Recipe) -> WeightsInfo:
    """Return what is known of the weights; what they become of others is under their terms."""
    if recipe.begin:
        begin = read_info(Path(recipe.begin))
        return replace(begin, source=Path(recipe.begin).name, sha256="")
    terms = network.licence if network.name == Lite.name else _OWN_TERMS
    return WeightsInfo(network.name, network.variant, licence=terms, commercial=True)


def _describe_network(network: StereoNetwork) -> str:
    if network.name == Lite.name:
        return "Our own small network for a CPU or a small GPU"
    return f"{network.name} {network.variant}"


def _describe_data(recipe: Recipe) -> str:
    """Return what was learned from, with the weights of several kinds."""
    if recipe.data == (SCENES,):
        return "rendered scenes"
    return ", ".join(map(str, map(parse_data, recipe.data)))


def _describe_begin(recipe: Recipe) -> str:
    if not recipe.begin:
        return ""
    return f", begun from {Path(recipe.begin).name} ({sha256_of(Path(recipe.begin))[:12]}…)"


def _on_real(network: str, graph: Path, pairs: RealPairs) -> dict[str, Any]:
    samples = read_dataset(pairs.folder, pairs.layout)
    engines = {name: open_engine(name) for name in BESIDE}
    engines = {network: open_engine(str(graph), backend="onnxruntime"), **engines}
    scores = evaluate(engines, samples)
    for engine in engines.values():
        engine.close()
    figures_of: dict[str, Any] = {
        "on": f"{len(samples)} pairs, medians, guesses counted",
        "sha256": digest_of(samples),
    }
    for name in engines:
        median = dict(zip(COLUMNS, medians(scores, name, "filled"), strict=True))
        figures = {
            "epe": round(median["EPE"], 3),
            "bad1": round(median["bad-1"], 2),
            "bad2": round(median["bad-2"], 2),
            "ause": round(confidence_medians(scores, name)[0], 2),
        }
        faults = fault_medians(scores, name).items()
        figures_of[name] = {**figures, **{k: round(v, 2) for k, v in faults if v is not None}}
    return figures_of


def command(
    recipe: Recipe, processes: int, size: tuple[int, int], pairs: RealPairs | None = None
) -> str:
    """Return the command line that makes this run anew."""
    start = "stereo-depth"
    if processes > 1:
        start = f"torchrun --nproc-per-node {processes} -m stereo_depth_ros.cli.main"
    parts = [start, f"train {recipe.network} -o {recipe.network}_run"]
    usual = recipe_of(recipe.network)
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if value != getattr(usual, field.name):
            parts += _as_options(field.name, value)
    if size != (480, 640):
        parts.append(f"--size {size[0]}x{size[1]}")
    if pairs is not None:
        parts.append(f"--evaluate {shlex.quote(pairs.folder.name)} --layout {pairs.layout}")
    return " ".join(parts)


def _as_options(name: str, value: Any) -> list[str]:
    """Return a value of the recipe as it is given on the command line, folders by their names."""
    option = f"--{name.replace('_', '-')}"
    if name == "data":
        texts = [str(parse_data(text)) for text in value]
    elif name == "validate":
        texts = [str(parse_data(value))]
    elif name == "freeze":
        texts = list(value)
    elif isinstance(value, bool):
        return [option if value else f"--no-{option.removeprefix('--')}"]
    elif isinstance(value, tuple):
        texts = ["x".join(map(str, value))]
    else:
        texts = [Path(value).name if name in ("photos", "begin") else str(value)]
    return [f"{option} {shlex.quote(text)}" for text in texts]
