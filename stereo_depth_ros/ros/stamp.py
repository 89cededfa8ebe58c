"""The stamp of a message as a number."""

from __future__ import annotations

from typing import Any


def stamp_ns(message: Any) -> int:
    """Return the header stamp of ``message`` in ns."""
    stamp = message.header.stamp
    return stamp.sec * 1_000_000_000 + stamp.nanosec
