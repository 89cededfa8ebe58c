"""The user's models: installed, removed, packed into one file and unpacked."""

from __future__ import annotations

import fcntl
import os
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from stereo_depth_ros.artifact import Artifact, find_artifact, list_shipped, models_folder
from stereo_depth_ros.atomic_file import WriteError, scratch_folder, write_aside
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.model_card import ModelError, read_card

PACK_SUFFIX = ".stereo.zip"


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

    Raises
    ------
    InputError
        For a model that comes with the package.
    ModelError
        When there is none of that name.
    WriteError
        When it cannot be deleted.
    """
    if name in list_shipped():
        raise InputError(f"'{name}' comes with the package and cannot be removed")
    folder = models_folder() / name
    # A model whose card is broken can be removed too.
    if not (folder / f"{name}.yaml").is_file():
        raise ModelError(f"no model '{excerpt(name)}' was added; 'stereo-depth models' lists them")
    with _name_folder(folder), _reserve(folder.parent / f".{name}.lock", name):
        shutil.rmtree(folder)
    return folder


def pack(artifact: Artifact, path: Path) -> None:
    """Write all files of ``artifact`` as one, which `unpack` takes.

    Raises
    ------
    InputError
        When it has no card or no graph.
    ModelError
        When its graph is missing or altered.
    WriteError
        When ``path`` cannot be written.
    """
    if artifact.card_path is None or artifact.file is None:
        raise InputError(
            f"model '{artifact.name}' cannot be packed: it needs a card that names a graph; "
            "'stereo-depth export' writes both"
        )
    artifact.verify_file()
    # Weights do not shrink.
    with write_aside(path) as aside, zipfile.ZipFile(aside, "w", zipfile.ZIP_STORED) as archive:
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
    try:
        with zipfile.ZipFile(path) as archive:
            name = _read_name(archive)
            with install(name) as folder:
                archive.extractall(folder)
                card = read_card(folder / f"{name}.yaml")
                Artifact(name, card, folder / f"{name}.yaml", folder / card.file).verify_file()
    except (zipfile.BadZipFile, ModelError, KeyError, ValueError, NotImplementedError) as error:
        if isinstance(error, InputError) and not isinstance(error, ModelError):
            raise
        raise InputError(
            f"{excerpt(path)} is no model that 'stereo-depth models pack' wrote, or is damaged: "
            f"{excerpt(error)}"
        ) from error
    return find_artifact(name)


def _read_name(archive: zipfile.ZipFile) -> str:
    """Return the name of the packed model."""
    names = archive.namelist()
    cards = [name for name in names if name.endswith(".yaml")]
    flat = all(PurePosixPath(name).name == name and not name.startswith(".") for name in names)
    if len(cards) != 1 or not flat:
        raise ValueError("it does not hold one card and its graphs")
    return cards[0].removesuffix(".yaml")


@contextmanager
def _reserve(lock: Path, name: str) -> Iterator[None]:
    """Keep every other process from changing the model meanwhile."""
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(
                f"model '{name}' is being changed by another process; wait for that one, or stop "
                "it and try again"
            ) from error
        except OSError:  # a filesystem without locks
            pass
        yield


@contextmanager
def _name_folder(folder: Path) -> Iterator[None]:
    """Say of what the system refuses inside how to have models elsewhere."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        raise WriteError(
            f"{folder} cannot be written: {os.strerror(error.errno or 0)}; free space or mend the "
            "permissions, or keep models elsewhere with STEREO_DEPTH_MODELS=FOLDER"
        ) from error
