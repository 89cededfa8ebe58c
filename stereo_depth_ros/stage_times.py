"""How long each stage of a frame takes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def time_stage(seconds: dict[str, float], stage: str) -> Iterator[None]:
    """Put the seconds that the block takes into ``seconds`` as ``stage``."""
    start = time.perf_counter()
    yield
    seconds[stage] = time.perf_counter() - start
