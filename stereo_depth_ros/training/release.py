"""From a finished run to the files that a robot needs: weights, graph, model card."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import fields
from pathlib import Path

import yaml

from stereo_depth_ros.checkpoints import WeightsInfo, save_weights
from stereo_depth_ros.export import export_onnx
from stereo_depth_ros.training.trainer import Recipe, Trainer
from stereo_depth_ros.training.validation import Validation


def release(trainer: Trainer, size: tuple[int, int]) -> Path:
    """Write lite.safetensors, lite.onnx of ``size`` (height, width) px and lite.yaml; return it.

    The card's figures are measured here, on rendered pairs that training never sees.
    """
    network, folder = trainer.average, trainer.folder
    figures = Validation(trainer.recipe.scene, trainer.device).figures(network)
    network = network.cpu()
    height, width = size
    info = WeightsInfo("lite", network.variant, licence=network.licence, commercial=True)
    save_weights(folder / "lite.safetensors", network.state_dict(), info)
    graph = export_onnx(
        network,
        height,
        width,
        folder / "lite.onnx",
        metadata={"licence": network.licence, "commercial": "true"},
    )
    card = {
        "engine": "onnx",
        "network": network.name,
        "variant": network.variant,
        "summary": (
            f"Our own small network for {width}x{height} images on a CPU or a small GPU, trained "
            f"on rendered scenes for {trainer.step} steps."
        ),
        "licence": network.licence,
        "file": graph.name,
        "sha256": hashlib.sha256(graph.read_bytes()).hexdigest(),
        "command": command(trainer.recipe, trainer.processes, size),
        "measured": {
            "pairs": "12 rendered ones that training never saw, all pixels",
            **{name: round(value, 3) for name, value in figures.items()},
        },
    }
    path = folder / "lite.yaml"
    path.write_text(yaml.safe_dump(card, sort_keys=False, width=100))
    return path


def command(recipe: Recipe, processes: int, size: tuple[int, int]) -> str:
    """Return the command line that makes this run anew."""
    start = "stereo-depth"
    if processes > 1:
        start = f"torchrun --nproc-per-node {processes} -m stereo_depth_ros.cli.main"
    words = [start, "train lite -o lite_run"]
    for field in fields(recipe):
        value = getattr(recipe, field.name)
        if value == field.default:
            continue
        if isinstance(value, tuple):
            value = "x".join(map(str, value))
        if field.name == "photos":
            value = Path(value).name
        words.append(f"--{field.name.replace('_', '-')} {shlex.quote(str(value))}")
    if size != (480, 640):
        words.append(f"--size {size[0]}x{size[1]}")
    return " ".join(words)
