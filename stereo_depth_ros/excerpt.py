"""Foreign text in messages: of bounded length, so that logs, diagnostics and terminals bear it."""

from __future__ import annotations

import reprlib

MAX_EXCERPT = 200
MAX_MESSAGE = 1000

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 60


def excerpt(text: object, limit: int = MAX_EXCERPT) -> str:
    """Return ``text`` on one line of at most ``limit`` characters, all of them printable."""
    cut = str(text)[: 4 * limit]
    line = " ".join("".join(c if c.isprintable() else " " for c in cut).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def excerpt_repr(value: object) -> str:
    """Return how Python writes ``value``, cut at any depth; it is never written out whole."""
    return excerpt(_repr.repr(value))


def shorten(message: str, limit: int = MAX_MESSAGE) -> str:
    """Return ``message``, without its middle where it has more than ``limit`` characters.

    The beginning names the cause and the end the cure.
    """
    if len(message) <= limit:
        return message
    mark = f" [{len(message)} characters] "
    room = max(limit - len(mark), 2)
    return message[: room - room // 3] + mark + message[-(room // 3) :]
