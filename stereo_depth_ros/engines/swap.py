"""An engine whose place another may take between two pairs."""

from __future__ import annotations

import numpy as np

from stereo_depth_ros.engines.base import Engine, EngineError, EngineSpec

_NONE = EngineSpec("none", "none", None, None, None, "none", "no device yet", "no engine is loaded")


class SwappableEngine:
    """Passes pairs on to the engine of the moment; see `stereo_depth_ros.engines.base.Engine`.

    All calls come from the thread that owns the engines, so that none is swapped within a pair;
    ``spec`` and ``is_ready`` may be read from any.
    """

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._closed = False
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
        if before is not None:
            before.close()

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`."""
        if self._engine is None:
            raise EngineError("no engine is loaded")
        return self._engine.infer(left, right)

    def close(self) -> None:
        """Close the engine of the moment and every one that still comes."""
        self._closed = True
        before, self._engine, self.spec = self._engine, None, _NONE
        if before is not None:
            before.close()
