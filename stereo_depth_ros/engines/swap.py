"""An engine whose place another may take between two pairs."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from stereo_depth_ros.engines.base import (
    Engine,
    EngineError,
    EngineLostError,
    EngineSpec,
    Provenance,
)

MAX_FAILURES, MAX_FAILING_S = 30, 10.0
"""Pairs in a row, and s, that may fail on a GPU before it counts as lost."""

_NONE = EngineSpec(
    "none", "none", None, None, None, "none", "no device yet", Provenance("no engine is loaded")
)


class SwappableEngine:
    """Passes pairs on to the engine of the moment; see `stereo_depth_ros.engines.base.Engine`.

    All calls come from the thread that owns the engines, so that none is swapped within a pair;
    ``spec`` and ``is_ready`` may be read from any. ``is_building`` tells whether another engine is
    being built, which may take what this one needs.
    """

    def __init__(self, is_building: Callable[[], bool] = lambda: False) -> None:
        self._is_building = is_building
        self._engine: Engine | None = None
        self._closed = False
        self._failures = 0
        self._failing_since = 0.0
        self.spec = _NONE

    @property
    def is_ready(self) -> bool:
        """Whether there is an engine."""
        return self._engine is not None

    def swap(self, engine: Engine) -> None:
        """Take ``engine`` and close the one before; once closed, close ``engine`` at once."""
        if self._closed:
            engine.close()
            return
        before, self._engine, self.spec = self._engine, engine, engine.spec
        self._failures = 0
        if before is not None:
            before.close()

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`.

        An engine on a GPU that fails `MAX_FAILURES` times in a row and for `MAX_FAILING_S` counts
        as lost, while nothing is built.
        """
        if self._engine is None:
            raise EngineError("no engine is loaded")
        try:
            output = self._engine.infer(left, right)
        except EngineLostError:
            raise
        except EngineError as error:
            # On the CPU nothing is kept from one pair to the next that a new process would cure.
            if self._is_building() or self.spec.device == "CPU":
                self._failures = 0
                raise
            now = time.monotonic()
            if self._failures == 0:
                self._failing_since = now
            self._failures += 1
            seconds = now - self._failing_since
            if self._failures < MAX_FAILURES or seconds < MAX_FAILING_S:
                raise
            raise EngineLostError(
                f"{error}; {self._failures} pairs in a row failed within {seconds:.0f} s"
            ) from error
        self._failures = 0
        return output

    def close(self) -> None:
        """Close the engine of the moment and every one that still comes."""
        self._closed = True
        before, self._engine, self.spec = self._engine, None, _NONE
        if before is not None:
            before.close()
