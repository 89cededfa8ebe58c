"""From a finished run to the files that a robot needs: weights, graph, model card."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.artifact import MIXED_SUFFIX
from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.checkpoints import WeightsInfo, save_weights
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.evaluation.datasets import digest_of, read_dataset
from stereo_depth_ros.evaluation.evaluate import BESIDE, evaluate
from stereo_depth_ros.evaluation.report import (
    COLUMNS,
    confidence_medians,
    fault_medians,
    medians,
)
from stereo_depth_ros.export import publish
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.graph_contract import MATCHERS
from stereo_depth_ros.training.trainer import Recipe, Trainer
from stereo_depth_ros.training.validation import Validation


@dataclass(frozen=True)
class RealPairs:
    """A ``folder`` of pairs with truth, in a ``layout`` of `evaluation.datasets.LAYOUTS`."""

    folder: Path
    layout: str


def release(trainer: Trainer, size: tuple[int, int], pairs: RealPairs | None = None) -> Path:
    """Write weights, graphs of ``size`` (height, width) px, reference and card; return the last.

    The card's figures are measured here: on rendered pairs that training never sees and, where
    ``pairs`` are given, on those, with SGBM beside it.
    """
    network, folder = trainer.average, trainer.folder
    figures = Validation(trainer.recipe.scene, trainer.device).figures(network)
    network = network.cpu()
    height, width = size
    info = WeightsInfo("lite", network.variant, licence=network.licence, commercial=True)
    save_weights(folder / "lite.safetensors", network.state_dict(), info)
    graph = folder / "lite.onnx"
    terms = {"licence": network.licence, "commercial": "true"}
    for precision, path in (("mixed", folder / f"lite{MIXED_SUFFIX}"), ("fp32", graph)):
        publish(network, height, width, path, precision=precision, metadata=terms)
    card = {
        "engine": "onnx",
        "network": network.name,
        "variant": network.variant,
        "summary": (
            f"Our own small network for {width}x{height} images on a CPU or a small GPU, trained "
            f"on rendered scenes for {trainer.step} steps{_describe_begin(trainer.recipe)}."
        ),
        "licence": network.licence,
        "file": graph.name,
        "sha256": sha256_of(graph),
        **({"prior": MATCHERS[0]} if network.takes_prior else {}),
        "command": command(trainer.recipe, trainer.processes, size, pairs),
        "measured": {
            "on": "12 rendered pairs that training never saw, means over all pixels",
            **{name: round(value, 3) for name, value in figures.items()},
            **({} if pairs is None else {"real": _on_real(graph, pairs)}),
        },
    }
    path = folder / "lite.yaml"
    write_text(path, yaml.safe_dump(card, sort_keys=False, width=100))
    return path


def _describe_begin(recipe: Recipe) -> str:
    if not recipe.begin:
        return ""
    return f", begun from {Path(recipe.begin).name} ({sha256_of(Path(recipe.begin))[:12]}…)"


def _on_real(graph: Path, pairs: RealPairs) -> dict[str, Any]:
    samples = read_dataset(pairs.folder, pairs.layout)
    engines = {name: open_engine(name) for name in BESIDE}
    engines = {"lite": open_engine(str(graph), backend="onnxruntime"), **engines}
    scores = evaluate(engines, samples)
    for engine in engines.values():
        engine.close()
    figures_of: dict[str, Any] = {
        "on": f"{len(samples)} pairs, medians, every pixel answered",
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
    parts = [start, "train lite -o lite_run"]
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if value == field.default:
            continue
        if isinstance(value, tuple):
            value = "x".join(map(str, value))
        if field.name in ("photos", "begin"):
            value = Path(value).name
        parts.append(f"--{field.name.replace('_', '-')} {shlex.quote(str(value))}")
    if size != (480, 640):
        parts.append(f"--size {size[0]}x{size[1]}")
    if pairs is not None:
        parts.append(f"--evaluate {shlex.quote(pairs.folder.name)} --layout {pairs.layout}")
    return " ".join(parts)
