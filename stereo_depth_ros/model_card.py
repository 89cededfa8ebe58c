"""Resolve a model by name or path to a checked file."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt, excerpt_repr
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.graph_contract import MATCHERS
from stereo_depth_ros.share import share_directory

_ENGINES = {".onnx": "onnx", ".engine": "tensorrt"}

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
    """What is known of a model before it is opened.

    ``engine`` is what runs it ("onnx", "tensorrt" or "sgbm"); ``file`` its graph or built engine,
    None for an algorithm without one; ``network`` and ``variant`` what the graph was made from;
    ``commercial`` whether the licence allows such use; ``prior`` which matcher's answer goes to the
    graph, empty for none, None for the one that the graph names; ``options`` go to the engine as
    they are;
    ``command`` made the model, and ``measured`` is what it then found.
    """

    name: str
    engine: str
    summary: str = ""
    licence: str = ""
    commercial: bool = True
    network: str = ""
    variant: str = ""
    file: Path | None = None
    sha256: str = ""
    prior: str | None = ""
    options: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    measured: dict[str, Any] = field(default_factory=dict)

    def verify_file(self) -> Path:
        """Return the graph file after checking that it is there and unaltered.

        Raises
        ------
        ModelError
            When the card names none, it is missing, or its hash is not the card's.
        """
        if self.file is None:
            raise ModelError(
                f"model '{excerpt(self.name)}': its card names no file; add 'file: NAME', the "
                "graph or engine beside the card"
            )
        if not self.file.is_file():
            fault = "is a folder" if self.file.is_dir() else "does not exist"
            is_installed = self.file.parent == share_directory() / "models"
            cure = "reinstall the package" if is_installed else "correct the path"
            raise ModelError(
                f"model '{excerpt(self.name)}': file {excerpt(self.file)} {fault}; {cure}"
            )
        if self.sha256:
            actual = sha256_of(self.file)
            if actual != self.sha256.lower():
                raise ModelError(
                    f"model '{self.name}': {self.file} is altered or truncated (sha256 "
                    f"{actual[:12]}…, its card says {self.sha256[:12]}…); reinstall it, or correct "
                    "the card if the change was yours"
                )
        return self.file


def list_models() -> list[str]:
    """Return the names of the models whose cards are installed, sorted."""
    return sorted(p.stem for p in (share_directory() / "models").glob("*.yaml"))


def load_model_card(model: str) -> ModelCard:
    """Return the card of ``model``: an installed name, or the path of a card, .onnx or .engine.

    Raises
    ------
    ModelError
        For an unknown name, or a card that is missing or cannot be read.
    """
    path = Path(model).expanduser()
    if path.suffix in _ENGINES:
        return ModelCard(name=path.stem, engine=_ENGINES[path.suffix], file=path, prior=None)
    if path.suffix not in (".yaml", ".yml"):
        if model not in list_models():
            raise ModelError(
                f"model '{excerpt(model)}' is not known; installed are "
                f"{', '.join(list_models())}, and the path of an exported .onnx file works too"
            )
        path = share_directory() / "models" / f"{model}.yaml"
    return _read_card(path)


def _read_card(path: Path) -> ModelCard:
    try:
        content = yaml.safe_load(_read_text(path))
        _check_content(content)
        content["options"] = content.get("options") or {}
        file = content.pop("file", None)
        return ModelCard(name=path.stem, file=path.parent / file if file else None, **content)
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
