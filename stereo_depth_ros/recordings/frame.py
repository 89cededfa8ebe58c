"""What a source gives, pair by pair."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from stereo_depth_ros.pair_geometry import PairGeometry


@dataclass(frozen=True)
class Frame:
    """One pair of a recording.

    Attributes
    ----------
    name
        Of its files, unlike that of any other pair of the recording.
    stamp_ns
        Of the left image.
    time_ns
        When the pair was complete, which never decreases.
    frame_id
        Of the left image, empty where it has none.
    left, right
        (H, W, 3) uint8 RGB.
    geometry
        Where the cameras stand.
    seconds
        Time that decoding took.
    """

    name: str
    stamp_ns: int
    time_ns: int
    frame_id: str
    left: np.ndarray
    right: np.ndarray
    geometry: PairGeometry
    seconds: float


@dataclass(frozen=True)
class Skip:
    """A pair that gives no depth: its ``name`` and times as of `Frame`, and the ``reason``."""

    name: str
    stamp_ns: int
    time_ns: int
    reason: str


class Source(Protocol):
    """A recording.

    Attributes
    ----------
    notes
        What was found out about it, a line each.
    identity
        What tells it from another, as JSON holds it, by what people call it.
    expected
        How many pairs it seems to hold.
    is_stream
        Whether each pair follows the one before it, from one rig.
    is_metric
        Whether lengths are known; without them there is disparity alone.
    losses
        What never became a pair, counted by reason; complete once all pairs were read.
    """

    notes: list[str]
    identity: dict[str, Any]
    expected: int
    is_stream: bool
    is_metric: bool
    losses: dict[str, int]

    def __iter__(self) -> Iterator[Frame | Skip]:
        """Yield the pairs in order, the same ones every time."""
        ...
