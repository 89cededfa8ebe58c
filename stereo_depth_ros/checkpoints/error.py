"""The error of this folder, and how it comes to name the file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import MAX_MESSAGE, excerpt
from stereo_depth_ros.networks import NetworkError


class CheckpointError(InputError):
    """A weights file that cannot be used; the text names the cause and the cure."""


@contextmanager
def errors_about(path: Path) -> Iterator[None]:
    """Put ``path`` before what goes wrong inside."""
    try:
        yield
    except (CheckpointError, NetworkError) as error:
        raise CheckpointError(f"{path}: {excerpt(error, MAX_MESSAGE)}") from error
