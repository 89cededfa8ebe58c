"""A lock on an open file, which the system releases when its process ends."""

from __future__ import annotations

import fcntl
from typing import IO, Any


def take_lock(file: IO[Any]) -> bool:
    """Lock ``file``; return whether no other process holds it.

    A filesystem without locks keeps nobody out.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True
