"""Write files whole or not at all, and leave nothing behind when a run is killed."""

from __future__ import annotations

import errno
import fcntl
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

SCRATCH = ".stereo_depth-"
"""How the names of scratch folders begin; a killed run leaves one."""
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


class WriteError(OSError):
    """A file that could not be written; the text names it and the cause."""


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` as the file at ``path``; see `write_aside`."""
    with write_aside(path) as aside, aside.open("wb") as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write ``content`` in UTF-8 as the file at ``path``; see `write_aside`."""
    write_bytes(path, content.encode())


def write_npy(path: Path, array: np.ndarray) -> None:
    """Write ``array`` as the .npy file at ``path``; see `write_aside`."""
    buffer = io.BytesIO()  # NumPy hides the cause where it writes to a file itself
    np.save(buffer, array)
    write_bytes(path, buffer.getvalue())


@contextmanager
def write_aside(path: Path) -> Iterator[Path]:
    """Yield a path to write to, of the same name; it replaces ``path`` when the block ends.

    ``path`` keeps its old content until the new one is whole and on the disk. Missing folders are
    made. What is no regular file, such as /dev/stdout, is written to directly.

    Raises
    ------
    WriteError
        For any OSError in the block or in replacing ``path``.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            yield path
            return
        # The file that a link points to is replaced, not the link.
        target = Path(os.path.realpath(path))
        target.parent.mkdir(parents=True, exist_ok=True)
        with scratch_folder(target.parent) as folder:
            aside = folder / target.name
            aside.touch()
            mode = aside.stat().st_mode  # what the umask leaves; some libraries write 0600
            yield aside
            if aside.stat().st_mode != mode:
                aside.chmod(mode)
            _flush_to_disk(aside)
            os.replace(aside, target)
        with suppress(OSError):  # not every filesystem can flush a folder
            _flush_to_disk(target.parent)
    except OSError as error:
        raise WriteError(f"{path} was not written: {_describe(error)}") from error


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Yield an empty hidden folder in ``parent``, removed at the end.

    What killed runs left in ``parent`` is removed first.
    """
    _sweep(parent)
    folder, lock = _make_locked(parent)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def _make_locked(parent: Path) -> tuple[Path, int]:
    """Make a folder and lock it, so that it is known to be in use."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
        try:
            lock = os.open(folder, os.O_RDONLY)
        except FileNotFoundError:  # another run swept it at once
            continue
        with suppress(OSError):  # a filesystem without locks, on which nothing is swept either
            fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():  # else it was swept before it was locked
            return folder, lock
        os.close(lock)


def _sweep(parent: Path) -> None:
    for folder in parent.glob(f"{SCRATCH}*"):
        with suppress(OSError):
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder)
            finally:
                os.close(lock)


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _describe(error: OSError) -> str:
    if isinstance(error, FileExistsError):
        return f"{error.filename} is a file, not a folder"
    reason = error.strerror or str(error)
    cure = "; free some, or write elsewhere" if error.errno in DISK_FULL else ""
    return f"{reason}{cure}"
