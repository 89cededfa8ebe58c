"""Keep the memory of large messages instead of returning it to the system every frame."""

from __future__ import annotations

import ctypes
import sys

_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_M_ARENA_MAX = -8
_LARGEST_MESSAGE = 16 << 20
"""Holds a coloured cloud of 1280 x 720; the engines' larger buffers are better mapped."""


def keep_large_blocks() -> None:
    """Have glibc keep blocks of a message's size, in one arena; elsewhere do nothing.

    Freshly mapped pages cost more than the copies that fill them, and an arena for every thread
    that touches a frame would let the process grow for as long as threads take turns.
    """
    if sys.platform != "linux":
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MESSAGE)
        mallopt(_M_TRIM_THRESHOLD, 8 * _LARGEST_MESSAGE)
        mallopt(_M_ARENA_MAX, 1)
