"""One training a folder at a time."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.errors import InputError

_NAME = "training.lock"


@contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Keep other trainings out of ``folder``, which is made; a killed process releases it.

    Raises
    ------
    InputError
        When another training holds it; the text names that.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _NAME).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read(200).strip() or "another process"
            raise InputError(
                f"{folder} is in use by a training, {holder}; wait for its end, or give another "
                "folder"
            ) from None
        except OSError:
            pass  # a filesystem without locks
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        file.flush()
        yield
