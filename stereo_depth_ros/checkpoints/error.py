"""The error of this folder, and how it comes to name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.networks import NetworkError

_MAX_TEXT = 1000


class CheckpointError(ValueError):
    """A weights file that cannot be used; the text names the cause and the cure."""


@contextmanager
def errors_about(path: Path) -> Iterator[None]:
    """Put ``path`` before what goes wrong inside."""
    try:
        yield
    except (CheckpointError, NetworkError) as error:
        raise CheckpointError(f"{path}: {shorten(str(error), _MAX_TEXT)}") from error


def shorten(text: str, length: int) -> str:
    """Return text of a file on one line of at most ``length`` characters, all printable."""
    line = "".join(letter if letter.isprintable() else " " for letter in text[: length + 1])
    return line if len(line) <= length else f"{line[: length - 2]} …"
