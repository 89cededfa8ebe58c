"""What was measured of installed models on this machine: accuracy by pairs, speed by device."""

from __future__ import annotations

import json
import logging
import os
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from stereo_depth_ros.artifact import Artifact, models_folder
from stereo_depth_ros.atomic_file import WriteError, write_text
from stereo_depth_ros.cpu import name_cpu
from stereo_depth_ros.file_hash import sha256_of

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Accuracy:
    """Medians over pairs with truth, guesses counted.

    ``on`` says in words what they are of, ``pairs`` is the hash of the pairs; ``epe`` is in px,
    ``bad2`` in percent.
    """

    on: str
    pairs: str
    epe: float
    bad2: float


@dataclass(frozen=True)
class Speed:
    """Median time of an inference in ms, for images of ``width`` x ``height`` px."""

    ms: float
    width: int
    height: int


def read_accuracies(artifact: Artifact) -> list[Accuracy]:
    """Return what is known of a model's accuracy: measured here, and what its card says."""
    accuracies = [Accuracy(**entry) for entry in _read_of("accuracy", artifact, Accuracy)]
    real = artifact.card.measured.get("real")
    if isinstance(real, dict):
        try:
            entry = real[artifact.card.network or artifact.name]
            card = Accuracy(
                str(real["on"]), str(real["sha256"]), float(entry["epe"]), float(entry["bad2"])
            )
        except (KeyError, TypeError, ValueError):
            return accuracies
        if card.pairs not in {accuracy.pairs for accuracy in accuracies}:
            accuracies.append(card)
    return accuracies


def find_common_pairs(artifacts: Iterable[Artifact]) -> str:
    """Return the hash of the pairs on which the most models were measured, empty where none was.

    Figures on other pairs do not compare with these.
    """
    counts = Counter(
        accuracy.pairs for artifact in artifacts for accuracy in read_accuracies(artifact)
    )
    return max(counts, key=counts.__getitem__, default="")


def read_speed(artifact: Artifact, device: str = "CPU") -> Speed | None:
    """Return how long a model takes on ``device``, as engines name it; None where unknown."""
    entries = _read_of("speed", artifact, Speed, name_device(device))
    return Speed(**entries[0]) if entries else None


def record_accuracy(artifact: Artifact, accuracy: Accuracy) -> None:
    """Keep ``accuracy``, in place of an earlier one on the same pairs."""
    _record("accuracy", artifact, accuracy.pairs, asdict(accuracy))


def record_speed(artifact: Artifact, device: str, speed: Speed) -> None:
    """Keep ``speed`` on ``device``, in place of an earlier one."""
    _record("speed", artifact, name_device(device), asdict(speed))


def name_device(device: str) -> str:
    """Return what tells ``device``, as engines name it, from that of another machine."""
    return f"{name_cpu()}, {os.cpu_count()} cores" if device == "CPU" else device


def _record(kind: str, artifact: Artifact, key: str, entry: dict[str, Any]) -> None:
    content = _read()
    entries = _find_entries(content, kind, artifact)
    models = content.get(kind)
    content[kind] = {
        **(models if isinstance(models, dict) else {}),
        artifact.name: {"sha256": _identify(artifact), "entries": {**entries, key: entry}},
    }
    try:
        write_text(_path(), json.dumps(content, indent=1))
    except WriteError as error:
        _LOG.warning("what was measured is not kept: %s", error)


def _read_of(
    kind: str, artifact: Artifact, type_: type, key: str | None = None
) -> list[dict[str, Any]]:
    """Return the entries of a model as it is now, of one key or of all; none that lack a field."""
    names = {field.name for field in fields(type_)}
    return [
        entry
        for name, entry in _find_entries(_read(), kind, artifact).items()
        if key in (None, name) and isinstance(entry, dict) and entry.keys() == names
    ]


def _find_entries(content: dict[str, Any], kind: str, artifact: Artifact) -> dict[str, Any]:
    """Return what was measured of a model; what was of another graph of that name says nothing."""
    models = content.get(kind)
    known = models.get(artifact.name) if isinstance(models, dict) else None
    if not isinstance(known, dict) or known.get("sha256") != _identify(artifact):
        return {}
    entries = known.get("entries")
    return entries if isinstance(entries, dict) else {}


def _identify(artifact: Artifact) -> str:
    """Return the hash of the graph, by the card where that says it; empty for an algorithm."""
    file = artifact.file
    if artifact.card.sha256 or file is None or not file.is_file():
        return artifact.card.sha256
    return sha256_of(file)


def _read() -> dict[str, Any]:
    try:
        content = json.loads(_path().read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _path() -> Path:
    return models_folder() / "measurements.json"
