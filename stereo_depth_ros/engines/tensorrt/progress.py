"""How far a build is."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class BuildProgress:
    """How far a build is.

    Attributes
    ----------
    percent
        None where TensorRT does not tell (before 10).
    seconds
        Since it began.
    step
        In words.
    has_begun
        Whether this is the work of minutes, and not what comes before and after it, such as waiting
        for another build.
    """

    percent: float | None
    seconds: float
    step: str
    has_begun: bool = False

    def __str__(self) -> str:
        done = "" if self.percent is None else f"{self.percent:.0f} %, "
        return f"{self.step}: {done}{self.seconds:.0f} s"


ProgressCallback = Callable[[BuildProgress], None]


def ignore_progress(progress: BuildProgress) -> None:
    """Tell nobody."""


@dataclass
class _Phase:
    parent: str | None
    steps: int
    done: int = 0
    # Share of the current step that phases within it have filled.
    filled: float = 0.0


class Phases:
    """One percentage from TensorRT's nested phases, which it begins and ends in several threads.

    How many phases a step holds is not told, so each takes half of what is left of it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[str, _Phase] = {}
        self._percent = 0.0

    def begin(self, name: str, parent: str | None, steps: int) -> float:
        """Open a phase of ``steps`` steps; returns the percentage."""
        with self._lock:
            self._open[name] = _Phase(parent, max(1, steps))
            return self._advance()

    def step(self, name: str, index: int) -> float:
        """Count step ``index`` of a phase as done; returns the percentage."""
        with self._lock:
            phase = self._open.get(name)
            if phase is not None:
                phase.done, phase.filled = min(index + 1, phase.steps), 0.0
            return self._advance()

    def end(self, name: str) -> float:
        """Close a phase, whether or not all its steps were done; returns the percentage."""
        with self._lock:
            phase = self._open.pop(name, None)
            parent = self._open.get(phase.parent or "") if phase else None
            if parent is not None:
                parent.filled += (1 - parent.filled) / 2
            return self._advance()

    def _advance(self) -> float:
        outer = [name for name, phase in self._open.items() if phase.parent is None]
        self._percent = max(self._percent, 100 * self._furthest(outer))
        return self._percent

    def _furthest(self, names: list[str]) -> float:
        return max((self._fraction(name) for name in names), default=0.0)

    def _fraction(self, name: str) -> float:
        phase = self._open[name]
        if phase.done >= phase.steps:
            return 1.0
        inner = [child for child, other in self._open.items() if other.parent == name]
        current = phase.filled + (1 - phase.filled) / 2 * self._furthest(inner)
        return (phase.done + current) / phase.steps
