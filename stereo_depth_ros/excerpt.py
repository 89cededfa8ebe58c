"""Foreign text in messages: on one line and of bounded length."""

from __future__ import annotations

import reprlib

MAX_LENGTH = 200

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


def excerpt(text: object, limit: int = MAX_LENGTH) -> str:
    """Return ``text`` without line breaks, cut to ``limit`` characters."""
    line = " ".join(str(text)[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def excerpt_repr(value: object) -> str:
    """Return how Python writes ``value``, cut at any depth; it is never written out whole."""
    return excerpt(_repr.repr(value))
