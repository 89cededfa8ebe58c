"""What every engine is to the rest of the package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np

from stereo_depth_ros.errors import UserError
from stereo_depth_ros.graph_contract import AnySize

RunInThread = Callable[[Callable[[], Any]], Any]
"""Calls a function in the thread that owns the engines, and returns what it returns."""


class EngineError(UserError, RuntimeError):
    """An engine that cannot be opened or run; the text names the cause and the cure."""


class EngineLostError(EngineError):
    """The runtime has failed for good: in this process nothing works any more, in a new one it may.

    The text names the cause.
    """


@dataclass(frozen=True)
class Provenance:
    """Where an engine comes from, as facts; ``str`` makes a sentence of them.

    Attributes
    ----------
    source
        The file, or the algorithm and its options.
    runtime
        What runs it and how, with its version; empty where ``source`` says so.
    prior
        Which matcher's answer the network is given, empty where it takes none.
    checks
        What was tried before it was trusted, and what was not used.
    reasons
        Why it was chosen.
    """

    source: str
    runtime: str = ""
    prior: str = ""
    checks: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()

    def __str__(self) -> str:
        what = ", ".join(filter(None, (self.source, self.runtime, self.prior)))
        return "; ".join((what, *self.checks, *self.reasons))


@dataclass(frozen=True)
class EngineSpec:
    """What an open engine is.

    ``name`` is that of the model. ``height`` and ``width`` are the image size it takes, None where
    it takes any. ``sizes`` is what its graph says of these where it is one for any size: an engine
    that takes one size alone can then be had for another by opening it anew. ``max_disparity`` is
    its search range in px at that size, None where it adapts to the image, up to a third of its
    width. ``device`` is "CPU" or names the GPU; ``precision`` is a word for people. ``licence`` is
    that of the weights, ``commercial`` whether it allows such use. ``degraded`` says why it runs on
    the CPU although there is a GPU, empty where that was chosen.
    """

    name: str
    backend: str
    height: int | None
    width: int | None
    max_disparity: float | None
    precision: str
    device: str
    provenance: Provenance
    licence: str = ""
    commercial: bool = True
    degraded: str = ""
    sizes: AnySize | None = None

    def __str__(self) -> str:
        size = "any size" if self.height is None else f"{self.width}x{self.height}"
        return (
            f"{self.name} on {self.backend} ({self.device}, {self.precision}, {size}): "
            f"{self.provenance}"
        )


@runtime_checkable
class Engine(Protocol):
    """A stereo matcher. All calls come from the thread that opened it."""

    spec: EngineSpec

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match a rectified pair, (H, W, 3) uint8 RGB each, at the engine's size.

        Returns ``disparity`` (H, W) float32, px in the left view, finite and >= 0 everywhere, and
        ``confidence`` (H, W) float32 in 0..1, where 1 is certain and 0 marks a disparity that is
        only a guess and counts as unknown.

        Raises
        ------
        EngineError
            When the runtime fails; the engine stays usable for the next pair.
        EngineLostError
            When only a new process can match again.
        """
        ...

    def close(self) -> None:
        """Release what the engine holds; closing twice is harmless."""
        ...


def run_here(work: Callable[[], Any]) -> Any:
    """Call ``work``: the `RunInThread` of whoever owns the engines itself."""
    return work()
