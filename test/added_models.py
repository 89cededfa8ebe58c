"""Models as `stereo-depth models add` leaves them, of graphs whose answer is known."""

from __future__ import annotations

from fakes import METADATA, save_graph

from stereo_depth_ros.artifact import find_artifact, models_folder
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.measurements import Accuracy, Speed, record_accuracy, record_speed
from stereo_depth_ros.model_card import ModelCard, write_card
from stereo_depth_ros.model_store import install

CARD_PAIRS = find_artifact("lite").card.measured["real"]["sha256"]
"""The pairs on which the models of the package were measured."""


def add_graph(name, width=64, height=48, **card):
    """Install a graph that answers what its left image encodes, as the model ``name``."""
    with install(name) as folder:
        graph = save_graph(
            folder / f"{name}.onnx", width, height, metadata={**METADATA, "network": "encoded"}
        )
        facts = {
            "engine": "onnx",
            "licence": "MIT",
            "network": "encoded",
            "summary": f"{name} of a test",
        }
        write_card(
            folder / f"{name}.yaml",
            ModelCard(file=graph.name, sha256=sha256_of(graph), **{**facts, **card}),
        )
    return models_folder() / name


def measure(name, epe=None, pairs=CARD_PAIRS, ms=None):
    """Record what `evaluate` and `bench` would have."""
    artifact = find_artifact(name)
    if epe is not None:
        record_accuracy(artifact, Accuracy("5 pairs", pairs, epe, 10 * epe))
    if ms is not None:
        record_speed(artifact, "CPU", Speed(ms, 64, 48))
