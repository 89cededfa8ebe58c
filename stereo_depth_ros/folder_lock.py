"""One process a folder at a time."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.file_lock import take_lock


@contextmanager
def lock_folder(folder: Path, purpose: str) -> Iterator[None]:
    """Keep others of the same ``purpose`` out of ``folder``; a killed process releases it.

    The folder is made. ``purpose`` is a noun such as "training".

    Raises
    ------
    InputError
        When another process holds it; the text names that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{purpose}.lock").open("a+") as file:
        if not take_lock(file):
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise InputError(
                f"{folder} is in use by a {purpose}, {holder}; wait for its end, or give another "
                "folder"
            )
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
