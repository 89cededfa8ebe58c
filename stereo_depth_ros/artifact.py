"""A model as files: card, graphs by precision, and the pair that engines are tested on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.model_card import ModelCard, ModelError, read_card
from stereo_depth_ros.published import PUBLISHED
from stereo_depth_ros.share import PACKAGE, share_directory

MIXED_SUFFIX = ".mixed.onnx"
REFERENCE_SUFFIX = ".reference.npz"

_ENGINES = {".onnx": "onnx", ".engine": "tensorrt"}
_CARD_SUFFIXES = (".yaml", ".yml")


@dataclass(frozen=True)
class Artifact:
    """A model: ``name`` is what users call it, ``card`` what is known before it is opened.

    ``card_path`` is None where a graph or engine was named without a card; ``file`` is that graph
    or engine, None for an algorithm without one.
    """

    name: str
    card: ModelCard
    card_path: Path | None = None
    file: Path | None = None

    @property
    def graph(self) -> Path:
        """The file of a model that must have one.

        Raises
        ------
        ModelError
            When the card names none.
        """
        if self.file is None:
            raise ModelError(
                f"model '{excerpt(self.name)}': its card names no file; add 'file: NAME', the "
                "graph or engine beside the card"
            )
        return self.file

    def verify_file(self) -> Path:
        """Return the graph or engine after checking that it is there and unaltered.

        Raises
        ------
        ModelError
            When the card names none, it is missing, or its hash is not the card's.
        """
        name, file = excerpt(self.name), self.graph
        if not file.is_file():
            fault = "is a folder" if file.is_dir() else "does not exist"
            raise ModelError(f"model '{name}': file {excerpt(file)} {fault}; {self._cure(file)}")
        if self.card.sha256:
            actual = sha256_of(file)
            if actual != self.card.sha256.lower():
                raise ModelError(
                    f"model '{name}': {file} is altered or truncated (sha256 "
                    f"{actual[:12]}…, its card says {self.card.sha256[:12]}…); reinstall it, or "
                    "correct the card if the change was yours"
                )
        return file

    def list_files(self) -> list[Path]:
        """Return the files that there are: card, graphs of either precision, reference."""
        names = [self.card_path, self.file]
        if self.file is not None:
            names += [locate_graph(self.file, "mixed"), locate_reference(self.file)]
        return [path for path in dict.fromkeys(names) if path is not None and path.is_file()]

    def _cure(self, file: Path) -> str:
        if file.parent == _get_shipped_folder():
            return "reinstall the package"
        if file.parent.parent == models_folder():
            return f"add it again with 'stereo-depth models add {excerpt(self.name)}'"
        return "correct the path"


def locate_graph(graph: Path, precision: str) -> Path:
    """Return where ``graph`` lies in a precision: NAME.onnx in fp32, NAME.mixed.onnx in mixed."""
    return graph.with_name(_stem(graph) + (MIXED_SUFFIX if precision == "mixed" else ".onnx"))


def locate_card(graph: Path) -> Path:
    """Return where the card of ``graph`` lies, NAME.yaml."""
    return graph.with_name(f"{_stem(graph)}.yaml")


def locate_reference(graph: Path) -> Path:
    """Return where the export left the reference: NAME.onnx and NAME.mixed.onnx share one."""
    return graph.with_name(_stem(graph) + REFERENCE_SUFFIX)


def models_folder() -> Path:
    """Return where users' models are installed, one folder each; it need not exist.

    ``$STEREO_DEPTH_MODELS``, else ``stereo_depth_ros/models`` in the user's data folder by the XDG
    Base Directory Specification.
    """
    if folder := os.environ.get("STEREO_DEPTH_MODELS"):
        return Path(folder).expanduser().absolute()
    data = os.environ.get("XDG_DATA_HOME", "")
    # A relative path is invalid and ignored, says the specification.
    parent = Path(data) if os.path.isabs(data) else _find_home() / ".local" / "share"
    return parent / PACKAGE / "models"


def list_shipped() -> list[str]:
    """Return the names of the models that come with the package, sorted."""
    return sorted(path.stem for path in _get_shipped_folder().glob("*.yaml"))


def list_models() -> list[str]:
    """Return the names of all installed models, sorted: shipped ones and the user's."""
    return sorted({*list_shipped(), *_glob_added()})


def list_added() -> list[str]:
    """Return the names of the user's models, sorted; a shipped one of that name goes first."""
    return sorted({*_glob_added()} - {*list_shipped()})


def find_artifact(model: str) -> Artifact:
    """Return ``model``: an installed name, or the path of a card, .onnx or .engine.

    Raises
    ------
    ModelError
        For an unknown name, or a card that is missing or cannot be read.
    """
    path = Path(model).expanduser()
    if path.suffix in _ENGINES:
        return Artifact(path.stem, ModelCard(_ENGINES[path.suffix], prior=None), None, path)
    if path.suffix not in _CARD_SUFFIXES:
        path = _find_card(model)
    card = read_card(path)
    return Artifact(path.stem, card, path, path.parent / card.file if card.file else None)


def _find_card(name: str) -> Path:
    if name in list_shipped():
        return _get_shipped_folder() / f"{name}.yaml"
    added = _glob_added()
    if name not in added:
        if name in PUBLISHED:
            raise ModelError(
                f"model '{name}' is not installed; 'stereo-depth models add {name}' does that"
            )
        raise ModelError(
            f"model '{excerpt(name)}' is not known; installed are {', '.join(list_models())}; "
            "'stereo-depth models' lists what can be added, and the path of an exported .onnx "
            "file works too"
        )
    return added[name]


def _glob_added() -> dict[str, Path]:
    # Folders that begin with a dot are still being written.
    cards = models_folder().glob("[!.]*/*.yaml")
    return {card.stem: card for card in cards if card.stem == card.parent.name}


def _find_home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user whom the system does not know, as in containers
        return Path("/")


def _get_shipped_folder() -> Path:
    return share_directory() / "models"


def _stem(graph: Path) -> str:
    return graph.name.removesuffix(MIXED_SUFFIX).removesuffix(".onnx")
