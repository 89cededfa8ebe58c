"""What is known of a model before it is opened, as a YAML file beside its graph."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt, excerpt_repr
from stereo_depth_ros.graph_contract import MATCHERS

_MAX_BYTES = 1 << 18

_TEXT = (str, "a text; put it in quotes")
_MAPPING = (dict, "keys and values")
_KINDS: dict[str, tuple[type, str]] = {
    "engine": _TEXT,
    "summary": _TEXT,
    "licence": _TEXT,
    "commercial": (bool, "true or false"),
    "network": _TEXT,
    "variant": _TEXT,
    "file": _TEXT,
    "sha256": _TEXT,
    "prior": _TEXT,
    "options": _MAPPING,
    "command": _TEXT,
    "measured": _MAPPING,
}
"""What a card may hold: the type of each key, and what error texts call it."""


class ModelError(InputError):
    """A model that cannot be used; the text names the cause and the cure."""


@dataclass(frozen=True)
class ModelCard:
    """What a model says of itself.

    ``engine`` is what runs it ("onnx", "tensorrt" or "sgbm"); ``file`` its graph or built engine,
    relative to the card, empty for an algorithm without one; ``network`` and ``variant`` what the
    graph was made from; ``commercial`` whether the licence allows such use; ``prior`` which
    matcher's answer goes to the graph, empty for none, None for the one that the graph names;
    ``options`` go to the engine as they are; ``command`` made the model, and ``measured`` is what
    it then found.
    """

    engine: str
    summary: str = ""
    licence: str = ""
    commercial: bool = True
    network: str = ""
    variant: str = ""
    file: str = ""
    sha256: str = ""
    prior: str | None = ""
    options: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    measured: dict[str, Any] = field(default_factory=dict)


def read_card(path: Path) -> ModelCard:
    """Return the card in the YAML file ``path``.

    Raises
    ------
    ModelError
        When it cannot be read, or is no card.
    """
    try:
        content = yaml.safe_load(_read_text(path))
        _check_content(content)
        content = {key: value for key, value in content.items() if value is not None}
        return ModelCard(**content)
    # RecursionError for brackets without end, the others for numbers and dates that are none.
    except (
        OSError,
        yaml.YAMLError,
        RecursionError,
        ArithmeticError,
        TypeError,
        ValueError,
    ) as error:
        cause = "it is nested too deeply" if isinstance(error, RecursionError) else excerpt(error)
        raise ModelError(
            f"model card {excerpt(path)} cannot be read: {cause}; see models/sgbm.yaml for the keys"
        ) from error


def write_card(path: Path, card: ModelCard) -> None:
    """Write ``card`` as the YAML file ``path``, without what is as it is by default.

    Raises
    ------
    WriteError
        When it cannot be written.
    """
    content = {
        entry.name: value
        for entry in fields(card)
        if (value := getattr(card, entry.name)) not in (None, "", {}, True)
    }
    write_text(path, yaml.safe_dump(content, sort_keys=False, width=100, allow_unicode=True))


def _read_text(path: Path) -> str:
    with path.open("rb") as file:
        data = file.read(_MAX_BYTES + 1)
    if len(data) > _MAX_BYTES:
        raise ValueError(f"it is larger than {_MAX_BYTES >> 10} kB")
    return data.decode("utf-8-sig")


def _check_content(content: Any) -> None:
    """Check that every key of a card is known and holds what it must.

    Raises
    ------
    ValueError
        Naming the first that does not.
    """
    if not isinstance(content, dict):
        raise ValueError(f"it holds {excerpt_repr(content)}, not keys and values")
    unknown = sorted(map(str, set(content) - set(_KINDS)))
    if unknown:
        raise ValueError(f"unknown keys {excerpt(', '.join(unknown))}")
    if "engine" not in content:
        raise ValueError("engine is missing")
    for key, value in content.items():
        kind, meaning = _KINDS[key]
        is_empty = value is None and key in ("file", "options")
        if not is_empty and not isinstance(value, kind):
            raise ValueError(f"{key} is {excerpt_repr(value)}, not {meaning}")
    prior = content.get("prior", MATCHERS[0])
    if prior not in MATCHERS:
        raise ValueError(f"prior is {excerpt_repr(prior)}; known are {', '.join(MATCHERS)}")
    for option in content.get("options") or {}:
        if not isinstance(option, str):
            raise ValueError(f"options has {excerpt_repr(option)}, not the name of an option")
    sha256 = content.get("sha256", "")
    if sha256 and not re.fullmatch("[0-9a-fA-F]{64}", sha256):
        raise ValueError(f"sha256 is {excerpt_repr(sha256)}, not 64 hexadecimal digits")
