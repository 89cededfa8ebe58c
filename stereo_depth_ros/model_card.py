"""Resolve a model by name or path to a checked file."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.share import share_directory

_ENGINES = {".onnx": "onnx", ".engine": "tensorrt"}


class ModelError(ValueError):
    """A model that cannot be used; the text names the cause and the cure."""


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model before it is opened.

    ``engine`` is what runs it ("onnx", "tensorrt" or "sgbm"); ``file`` its graph or built engine,
    None for an algorithm without one; ``network`` and ``variant`` what the graph was made from;
    ``commercial`` whether the licence allows such use; ``options`` go to the engine as they are;
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
    options: dict[str, Any] = field(default_factory=dict)
    command: str = ""
    measured: dict[str, Any] = field(default_factory=dict)

    def verified_file(self) -> Path:
        """Return the graph file after checking that it is there and unaltered.

        Raises
        ------
        ModelError
            When it is missing, or its hash is not the card's.
        """
        if self.file is None or not self.file.is_file():
            raise ModelError(
                f"model '{self.name}': file {self.file} is missing; reinstall the package or give "
                "the path of an exported .onnx file as the model"
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


def installed_models() -> list[str]:
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
        return ModelCard(name=path.stem, engine=_ENGINES[path.suffix], file=path)
    if path.suffix not in (".yaml", ".yml"):
        if model not in installed_models():
            raise ModelError(
                f"model '{model}' is not known; installed are {', '.join(installed_models())}, "
                "and the path of an exported .onnx file works too"
            )
        path = share_directory() / "models" / f"{model}.yaml"
    return _read_card(path)


def _read_card(path: Path) -> ModelCard:
    try:
        content = yaml.safe_load(path.read_text())
        known = {key.name for key in fields(ModelCard)} - {"name"}
        unknown = set(content) - known
        if unknown:
            raise ValueError(f"unknown keys {', '.join(sorted(unknown))}")
        content["options"] = content.get("options") or {}
        file = content.pop("file", None)
        return ModelCard(name=path.stem, file=path.parent / file if file else None, **content)
    except (OSError, yaml.YAMLError, TypeError, ValueError) as error:
        raise ModelError(
            f"model card {path} cannot be read: {error}; see models/sgbm.yaml for the keys"
        ) from error
