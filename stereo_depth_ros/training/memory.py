"""What to do where a GPU's memory is too small."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from stereo_depth_ros.errors import InputError


@contextmanager
def name_memory_errors() -> Iterator[None]:
    """Say what to change where the GPU's memory does not hold a step."""
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise InputError(
            "the GPU's memory does not hold a step; halve --batch and double --accumulate, which "
            "trains the same, or give a smaller --crop"
        ) from error
