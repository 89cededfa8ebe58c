"""Which of the installed models is the most accurate, and which of these is fast enough."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from stereo_depth_ros.artifact import Artifact, find_artifact, list_models, list_shipped
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.measurements import Speed, read_accuracies, read_speed
from stereo_depth_ros.model_card import ModelError

BUDGET_MS = 100.0
"""Time of an inference that ``auto`` allows where nobody names one: 10 pairs per second."""


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
    tables = [
        {accuracy.pairs: accuracy.epe for accuracy in read_accuracies(find_artifact(model))}
        for model in models
    ]
    shared = set.intersection(*map(set, tables)) if tables else set()
    if not shared:
        return list(models)
    pairs = min(shared)
    errors = {model: table[pairs] for model, table in zip(models, tables, strict=True)}
    return sorted(models, key=errors.__getitem__)


def list_comparable(shipped: Sequence[str]) -> list[str]:
    """Return ``shipped`` and the user's models that compare with them, the most accurate first.

    One compares where `sort_by_accuracy` can order it among ``shipped``.
    """
    known = [{a.pairs for a in read_accuracies(find_artifact(model))} for model in shipped]
    pairs = set.intersection(*known)
    models = [
        artifact.name
        for artifact in _list_added()
        if pairs & {accuracy.pairs for accuracy in read_accuracies(artifact)}
    ]
    return sort_by_accuracy([*shipped, *models])


def find_best(network: str) -> tuple[str, str]:
    """Return the most accurate model that was measured here to take at most `BUDGET_MS`, and why.

    It is ``network``, which comes with the package, unless one that the user added is better.
    """
    comparable = list_comparable([network])
    for name in comparable[: comparable.index(network)]:
        speed = read_fastest(find_artifact(name))
        if speed is not None and speed.ms <= BUDGET_MS:
            reason = (
                f"{name} is the most accurate that was measured to keep {BUDGET_MS:g} ms here "
                f"({speed.ms:.0f} ms)"
            )
            return name, reason
    unmeasured = [a.name for a in _list_added() if a.name not in comparable]
    if unmeasured:
        return network, (
            f"{network}, as {', '.join(unmeasured)} {'was' if len(unmeasured) == 1 else 'were'} "
            f"not compared with it: 'stereo-depth evaluate --model {network} --model "
            f"{unmeasured[0]}' and 'stereo-depth bench' do that"
        )
    return network, ""


def read_fastest(artifact: Artifact) -> Speed | None:
    """Return the shortest time that a model was measured to take on a device of this machine."""
    devices = ["CPU"]
    with suppress(EngineError):
        devices += [find_device().name, "CUDA"]
    speeds = [speed for device in devices if (speed := read_speed(artifact, device))]
    return min(speeds, key=lambda speed: speed.ms, default=None)


def _list_added() -> list[Artifact]:
    """Return the user's models whose cards can be read."""
    artifacts = []
    for name in sorted({*list_models()} - {*list_shipped()}):
        try:
            artifacts.append(find_artifact(name))
        except ModelError:
            continue
    return artifacts
