"""What parts of a network were given and returned in a pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def capture(modules: Iterable[nn.Module]) -> Iterator[list[tuple[Any, Any]]]:
    """Yield a list to which every call of ``modules`` adds its first input and its output."""
    calls: list[tuple[Any, Any]] = []

    def remember(_module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls.append((inputs[0], output))

    hooks = [module.register_forward_hook(remember) for module in modules]
    try:
        yield calls
    finally:
        for hook in hooks:
            hook.remove()
