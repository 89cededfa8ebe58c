"""Text of others, cut to what a log line and a diagnostic status can carry."""

from __future__ import annotations

MAX_CHARACTERS = 1000


def shorten(text: str, limit: int = MAX_CHARACTERS) -> str:
    """Return ``text``, of which the middle is left out where it has more than ``limit`` characters.

    The beginning names the cause and the end the cure.
    """
    if len(text) <= limit:
        return text
    mark = f" [{len(text)} characters] "
    room = max(limit - len(mark), 2)
    return text[: room - room // 3] + mark + text[-(room // 3) :]
