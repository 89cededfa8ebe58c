"""Files of single pairs, of which there may be very many.

Each is whole or not there, but unlike those of `stereo_depth_ros.atomic_file` not flushed to the
disk one by one, which takes longer than matching does. What a power cut takes away shows by its
size when the run is started again.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.recordings.write_errors import name_file


def put(path: Path, content: bytes, scratch: Path) -> int:
    """Write a file, and return its size in bytes.

    Parameters
    ----------
    path
        Where it goes; missing folders are made.
    content
        What it holds.
    scratch
        A folder on the same filesystem for what is not whole yet.

    Raises
    ------
    TargetError
        When it cannot be written.
    """
    aside = scratch / f"{os.getpid()}-{threading.get_ident()}"
    with name_file(path):
        for folder in (scratch, path.parent):
            folder.mkdir(parents=True, exist_ok=True)
        aside.write_bytes(content)
        os.replace(aside, path)
    return len(content)


def count_whole(records: Sequence[Record], measure: Callable[[Record], int]) -> int:
    """Count how many of ``records``, from the first, have files of the size that they tell.

    ``measure`` returns the bytes of the files of one.
    """
    for count, record in enumerate(records):
        if not record.skipped and measure(record) != record.size:
            return count
    return len(records)


def size_of(path: Path) -> int:
    """Return the size of a file in bytes, -1 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1
