"""The user's models: installed, removed, packed into one file and unpacked."""

from __future__ import annotations

import os
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.artifact import (
    Artifact,
    find_artifact,
    list_added,
    list_shipped,
    models_folder,
)
from stereo_depth_ros.atomic_file import SCRATCH, WriteError, scratch_folder, write_aside
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.file_lock import take_lock
from stereo_depth_ros.model_card import ModelError, read_card

PACK_SUFFIX = ".stereo.zip"

# What zipfile raises; RuntimeError for what is encrypted or compressed in a way unknown here.
_DAMAGE = (zipfile.BadZipFile, ValueError, RuntimeError)

# Parameters separate models by commas, and what has a suffix is a path.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


@contextmanager
def install(name: str) -> Iterator[Path]:
    """Yield an empty folder; what the block leaves in it becomes the installed model ``name``.

    A model of that name is replaced when the block ends without an error, and stays as it was
    otherwise.

    Raises
    ------
    InputError
        For the name of a model that comes with the package, or while another process installs it.
    WriteError
        When the folder of models cannot be written to.
    """
    if name in list_shipped():
        raise InputError(f"'{name}' comes with the package; give the model another name")
    root = models_folder()
    with _name_folder(root):
        root.mkdir(parents=True, exist_ok=True)
        with _reserve(root / f".{name}.lock", name), scratch_folder(root) as scratch:
            folder = scratch / name
            folder.mkdir()
            yield folder
            before = root / name
            if before.exists():
                before.rename(scratch / "before")
            folder.rename(before)


def remove(name: str) -> Path:
    """Delete the installed model ``name``; return the folder that it was in.

    A process that has it open keeps it until it closes it.

    Raises
    ------
    InputError
        For a model that comes with the package, or while another process installs it.
    ModelError
        When there is none of that name.
    WriteError
        When it cannot be deleted.
    """
    if name in list_shipped():
        raise InputError(f"'{name}' comes with the package and cannot be removed")
    # A model whose card is broken can be removed too.
    if name not in list_added():
        raise ModelError(f"no model '{excerpt(name)}' was added; 'stereo-depth models' lists them")
    root = models_folder()
    folder, hidden = root / name, root / f"{SCRATCH}{name}"
    with _name_folder(root), _reserve(root / f".{name}.lock", name):
        # Gone at once, on a full disk too; what a killed run leaves of it is swept by the next.
        shutil.rmtree(hidden, ignore_errors=True)
        folder.rename(hidden)
        shutil.rmtree(hidden)
    return folder


def pack(artifact: Artifact, path: Path) -> None:
    """Write all files of ``artifact`` as one, which `unpack` takes.

    Raises
    ------
    InputError
        When it comes with the package, or has no card or no graph beside it.
    ModelError
        When its graph is missing or altered.
    WriteError
        When ``path`` cannot be written.
    """
    if artifact.name in list_shipped():
        raise InputError(f"'{artifact.name}' comes with the package; there is nothing to carry")
    if artifact.card_path is None or artifact.file is None or artifact.card.engine != "onnx":
        raise InputError(
            f"model '{artifact.name}' cannot be packed: it needs a card that names a graph; "
            "'stereo-depth export' writes both"
        )
    _check_name(artifact.name)
    if artifact.card.file != artifact.file.name:
        raise InputError(
            f"model '{artifact.name}' cannot be packed: {artifact.file} does not lie beside its "
            "card; put it there, and its name alone into the card"
        )
    artifact.verify_file()
    with (
        write_aside(path) as aside,
        # Weights do not shrink. Files of reproducible systems are from 1970.
        zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive,
    ):
        for file in artifact.list_files():
            archive.write(file, file.name)


def unpack(path: Path) -> Artifact:
    """Install the model that `pack` wrote to ``path``.

    Raises
    ------
    InputError
        When it is no such file, is damaged, or holds a model of a shipped one's name.
    WriteError
        When the folder of models cannot be written to, or is full.
    """
    with _open_pack(path) as archive:
        name = _read_name(archive, path)
        with install(name) as folder:
            archive.extractall(folder)
            try:
                card_path = folder / f"{name}.yaml"
                card = read_card(card_path)
                # TensorRT trusts what is in an engine.
                if card.engine != "onnx" or card.file not in archive.namelist():
                    named = excerpt(f"{card.engine} {card.file}")
                    raise ModelError(f"its card names {named}, no graph that it holds")
                Artifact(name, card, card_path, folder / card.file).verify_file()
            except ModelError as error:
                raise _describe_damage(path, error) from error
    return find_artifact(name)


def _open_pack(path: Path) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(path)
    except _DAMAGE as error:
        raise _describe_damage(path, error) from error


def _read_name(archive: zipfile.ZipFile, path: Path) -> str:
    """Return the name of the packed model, after a look at what it would write."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    cards = [name for name in names if name.endswith(".yaml")]
    is_flat = all("/" not in name and not name.startswith(".") for name in names)
    if len(cards) != 1 or not is_flat or len(set(names)) < len(names):
        raise _describe_damage(path, "it does not hold one card and its graphs")
    # Files are stored as they are, so that a small pack cannot fill the disk.
    if sum(entry.file_size for entry in entries) > path.stat().st_size:
        raise _describe_damage(path, "it unpacks to more than it holds")
    name = cards[0].removesuffix(".yaml")
    _check_name(name)
    try:
        damaged = archive.testzip()
    except (*_DAMAGE, EOFError, OSError) as error:
        raise _describe_damage(path, error) from error
    if damaged is not None:
        raise _describe_damage(path, f"{excerpt(damaged)} is not what was packed")
    return name


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name) or name == "auto":
        raise InputError(
            f"'{excerpt(name)}' cannot be the name of an installed model: letters, digits, - and _ "
            "can, but not auto; rename its card"
        )


def _describe_damage(path: Path, cause: object) -> InputError:
    return InputError(
        f"{excerpt(path)} is no model that 'stereo-depth models pack' wrote, or is damaged: "
        f"{excerpt(cause)}; the authors' weights go to 'stereo-depth models add NAME --file FILE'"
    )


@contextmanager
def _reserve(lock: Path, name: str) -> Iterator[None]:
    """Keep every other process from changing the model meanwhile."""
    with lock.open("a") as file:
        if not take_lock(file):
            raise InputError(
                f"model '{name}' is being changed by another process; wait for that one, or stop "
                "it and try again"
            )
        yield


@contextmanager
def _name_folder(folder: Path) -> Iterator[None]:
    """Say of what the system refuses inside how to have models elsewhere."""
    cure = "keep models elsewhere with STEREO_DEPTH_MODELS=FOLDER"
    try:
        yield
    except WriteError as error:
        raise WriteError(f"{error}; or {cure}") from error
    except OSError as error:
        file = Path(str(error.filename or folder))
        if not (file.is_relative_to(folder) or folder.is_relative_to(file)):
            raise  # a file of the user
        raise WriteError(
            f"{folder} cannot be written: {os.strerror(error.errno or 0)}; free space or mend the "
            f"permissions, or {cure}"
        ) from error
