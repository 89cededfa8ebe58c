"""Fuse functions of whole images into few kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import torch


@cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)


def fuse(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """Return ``function``, on a GPU compiled into few kernels.

    One by one, its operations would each read and write whole images.
    """
    return _compile(function) if device.type == "cuda" else function
