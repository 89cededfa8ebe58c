"""The node with an engine that fails as the file LOST_ENGINE says.

That is "opening", "sticky" or "passing".
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fakes import EncodedEngine

from stereo_depth_ros.engines import EngineError, EngineLostError
from stereo_depth_ros.ros import engine_choice
from stereo_depth_ros.ros.node import main

LOST = EngineLostError("cudaStreamSynchronize failed: an illegal memory access (700)")


def act():
    told = Path(os.environ["LOST_ENGINE"])
    return told.read_text() if told.exists() else ""


class Failing(EncodedEngine):
    """Answers while the file is absent or empty."""

    def __init__(self):
        super().__init__()
        if act() == "opening":
            raise LOST

    def infer(self, left, right):
        if act() == "sticky":
            raise LOST
        if act() == "passing":
            raise EngineError("out of memory")
        return super().infer(left, right)

    def close(self) -> None:
        print("engine closed", flush=True)


if __name__ == "__main__":
    engine_choice.open_engine = lambda *arguments, **options: Failing()
    sys.exit(main())
