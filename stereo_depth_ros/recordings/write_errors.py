"""What the system refuses while results are written, as a line with the file and the cure."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.atomic_file import DISK_FULL, WriteError


class TargetError(WriteError):
    """A result that was not written; the text names it, the cause and the cure."""


@contextmanager
def name_file(path: Path) -> Iterator[None]:
    """Say of what the system refuses in the block that it was writing ``path``.

    Raises
    ------
    TargetError
        For any OSError in the block; one from within stays as it is.
    """
    try:
        yield
    except TargetError:
        raise
    except OSError as error:
        cause = error.__cause__ if isinstance(error, WriteError) else error
        code = getattr(cause, "errno", None)
        if code in DISK_FULL:
            cure = "free some, and the same command goes on from there"
        elif code in (errno.EACCES, errno.EPERM):
            cure = "mend the permissions, or write elsewhere by -o"
        else:
            cure = "write elsewhere by -o"
        reason = os.strerror(code) if code else str(error)
        raise TargetError(f"{path} was not written: {reason}; {cure}") from error
