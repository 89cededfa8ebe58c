"""Engines on disk: what one is known by, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class EngineFile:
    """A serialised engine (a "plan") on disk and the sidecar that says what it is.

    ``sidecar`` holds ``key`` (all that the plan depends on), ``graph`` (``metadata``, ``height``
    and ``width`` of what it was built from), ``plan`` (``sha256``, ``bytes``), ``build`` (``seconds``, ...),
    ``self_test`` (its numbers, None before it was run) and ``notes`` (why it is not what was asked
    for, where it is not).
    """

    path: Path
    sidecar: Mapping[str, Any]

    @property
    def runtime(self) -> str:
        """Module that runs it: "tensorrt" or "tensorrt_rtx"."""
        return self.sidecar["key"]["runtime"]["module"]

    @property
    def precision(self) -> str:
        """What it computes in: "fp32" or "mixed"."""
        return self.sidecar["key"]["precision"]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the images it takes."""
        return self.sidecar["graph"]["height"], self.sidecar["graph"]["width"]

    @property
    def metadata(self) -> Mapping[str, str]:
        """The metadata of its graph: ``network``, ``max_disparity``, ``licence``, ..."""
        return self.sidecar["graph"]["metadata"]
