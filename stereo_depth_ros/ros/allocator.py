"""Keep the memory of large messages instead of returning it to the system every frame."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_BYTES = 64 << 20


def keep_large_blocks() -> None:
    """Raise glibc's thresholds above a cloud's size; elsewhere do nothing.

    Freshly mapped pages cost more than the copies that fill them.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _BYTES)
        mallopt(_M_TRIM_THRESHOLD, 4 * _BYTES)
