"""Which of the installed models is the most accurate, and which of these is fast enough."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress

from stereo_depth_ros.artifact import Artifact, find_artifact, list_added
from stereo_depth_ros.engines.backend import BUDGET_MS
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.measurements import Speed, read_accuracies, read_speed
from stereo_depth_ros.model_card import ModelError


def sort_by_accuracy(models: Sequence[str]) -> list[str]:
    """Return ``models`` with the most accurate first.

    By the end-point error on real pairs, where it is known of all of them on the same pairs, by
    their cards or by what `stereo-depth evaluate` measured here; else in the order given, as
    figures on different pairs say nothing.

    Raises
    ------
    ModelError
        When one of them is unknown.
    """
    tables = [_tabulate_errors(find_artifact(model)) for model in models]
    shared = set.intersection(*map(set, tables)) if tables else set()
    if not shared:
        return list(models)
    pairs = min(shared)
    errors = {model: table[pairs] for model, table in zip(models, tables, strict=True)}
    return sorted(models, key=errors.__getitem__)


def compare_with(network: str, models: Iterable[str]) -> dict[str, float]:
    """Return the error of ``models`` as a multiple of that of ``network``, the lowest first.

    Both are those on the same pairs, of several the multiple that is the worst. Models that share
    no pairs with ``network``, and those whose card cannot be read, are left out.
    """
    multiples = {}
    with suppress(ModelError):
        known = _tabulate_errors(find_artifact(network))
        for artifact in _read_cards(models):
            errors = _tabulate_errors(artifact)
            shared = [pairs for pairs in errors if known.get(pairs, 0.0) > 0.0]
            if shared:
                multiples[artifact.name] = max(errors[pairs] / known[pairs] for pairs in shared)
    return dict(sorted(multiples.items(), key=lambda item: item[1]))


def find_best(network: str, budget_ms: float = BUDGET_MS) -> tuple[str, str]:
    """Return the most accurate model that was measured here to keep ``budget_ms``, and why.

    It is ``network``, which comes with the package, unless one that the user added is better.
    """
    added = [artifact.name for artifact in _read_cards(list_added())]
    multiples = compare_with(network, added)
    obstacles = []
    for name, multiple in multiples.items():
        if multiple >= 1.0:
            break
        speed = read_fastest(find_artifact(name))
        if speed is None:
            obstacles.append(
                f"{name}, which is more accurate, was not timed here: 'stereo-depth bench --model "
                f"{name}' does that"
            )
        elif speed.ms > budget_ms:
            obstacles.append(f"{name}, which is more accurate, takes {speed.ms:.0f} ms here")
        else:
            return name, (
                f"{name} is the most accurate that was measured to keep {budget_ms:.0f} ms here "
                f"({speed.ms:.0f} ms)"
            )
    if others := [name for name in added if name not in multiples]:
        obstacles.append(
            f"{', '.join(others)} {'was' if len(others) == 1 else 'were'} not compared with it: "
            f"'stereo-depth evaluate --model {network} --model {others[0]}' on pairs with truth "
            "does that"
        )
    return network, f"{network}, as {', and as '.join(obstacles)}" if obstacles else ""


def read_fastest(artifact: Artifact) -> Speed | None:
    """Return the shortest time that a model was measured to take on a device of this machine."""
    devices = ["CPU"]
    with suppress(EngineError):
        devices += [find_device().name, "CUDA"]
    speeds = [speed for device in devices if (speed := read_speed(artifact, device))]
    return min(speeds, key=lambda speed: speed.ms, default=None)


def _tabulate_errors(artifact: Artifact) -> dict[str, float]:
    """Return the end-point error in px by the hash of the pairs, where it is a number."""
    accuracies = read_accuracies(artifact)
    return {known.pairs: known.epe for known in accuracies if math.isfinite(known.epe)}


def _read_cards(models: Iterable[str]) -> list[Artifact]:
    """Return those of ``models`` whose cards can be read."""
    artifacts = []
    for model in models:
        with suppress(ModelError):
            artifacts.append(find_artifact(model))
    return artifacts
