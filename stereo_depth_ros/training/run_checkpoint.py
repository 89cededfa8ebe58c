"""The file that an interrupted training goes on from."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.errors import InputError

_PARTS = {"step", "seconds", "processes", "states", "network", "average", "optimiser", "recipe"}


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write the parts of a run.

    Raises
    ------
    WriteError
        When ``path`` cannot be written.
    """
    buffer = io.BytesIO()  # PyTorch hides the cause where it writes to a file itself
    torch.save(dict(state), buffer)
    write_bytes(path, buffer.getvalue())


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read what `write_checkpoint` wrote, its tensors on the CPU.

    Raises
    ------
    InputError
        For a damaged file, or one of something else.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not state.keys() >= _PARTS:
            raise ValueError("it lacks a part")
    except Exception as error:  # torch raises whatever its parts do
        reason = str(error).strip().partition("\n")[0][:200]
        if isinstance(error, UnpicklingError):  # of which PyTorch speaks to programmers
            reason = "it holds something else than tensors and numbers"
        raise InputError(
            f"{path} is not a complete training checkpoint ({reason}); delete it to start over, or "
            "give another folder"
        ) from error
    return state
