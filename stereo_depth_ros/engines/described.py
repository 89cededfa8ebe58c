"""An engine with additions to its spec."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from stereo_depth_ros.engines.base import Engine


class DescribedEngine:
    """``engine`` with ``changes`` to its spec; see `stereo_depth_ros.engines.base.Engine`.

    ``reason`` and ``checks`` are added to those that its provenance has.
    """

    def __init__(
        self, engine: Engine, *, reason: str = "", checks: tuple[str, ...] = (), **changes: Any
    ) -> None:
        self._engine = engine
        before = engine.spec.provenance
        provenance = replace(
            before,
            checks=before.checks + checks,
            reasons=before.reasons + ((reason,) if reason else ()),
        )
        self.spec = replace(engine.spec, provenance=provenance, **changes)

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`."""
        return self._engine.infer(left, right)

    def close(self) -> None:
        """Close the engine."""
        self._engine.close()
