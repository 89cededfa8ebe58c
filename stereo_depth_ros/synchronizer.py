"""Pair left and right messages by stamp; the newest complete pair wins.

Equal stamps come first. Cameras that are not triggered together never have equal stamps; once that
is established, the nearest stamps within a stated slop are paired. Clock jumps and looping bags are
survived, and what is dropped is counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from stereo_depth_ros.stamps import LEFT, RIGHT, RestartDetector, StampRecord

T = TypeVar("T")

_PATIENCE = 10
"""So many images in a row prove a point: stamps are never equal, or the clock went back."""


@dataclass(frozen=True)
class Pair(Generic[T]):
    """Two messages taken together; ``skew_ns`` is right stamp minus left stamp."""

    left: T
    right: T
    skew_ns: int


class Synchronizer(Protocol):
    """Pairs messages of two streams by their stamps in ns, and counts from the start."""

    @property
    def slop_ns(self) -> int:
        """Largest difference of stamps that is paired at present; 0 pairs equal stamps only."""

    @property
    def adaptive_slop_ns(self) -> int:
        """Largest difference that it may take up where stamps are never equal, 0 for none."""

    @property
    def paired(self) -> int:
        """Number of pairs."""

    @property
    def unpaired(self) -> Sequence[int]:
        """Messages (left, right) that found no partner."""

    @property
    def stale(self) -> int:
        """Messages that were not newer than what was paired already."""

    @property
    def jumps(self) -> int:
        """Jumps of the clock."""

    def clear(self) -> None:
        """Forget every message and stamp, but not the counters."""

    def add(self, side: int, stamp: int, message: Any) -> Pair[Any] | None:
        """Take one message of ``side`` stamped ``stamp`` ns; return the pair it completes."""

    def typical_skew_ns(self) -> int | None:
        """Return how far right stamps lie behind left ones; see `StampRecord.typical_skew_ns`."""


class PairSynchronizer(Generic[T]):
    """Pairs two streams; all times are stamps in ns.

    ``slop_ns`` is the largest difference that may be paired where stamps are never equal, 0
    forbidding it; an image waits for its partner until ``queue_size`` newer ones of its side have
    come or its stamp is ``max_age_ns`` behind the newest.

    The counters are those of `Synchronizer`.
    """

    def __init__(
        self,
        slop_ns: int = 10_000_000,
        queue_size: int = 10,
        max_age_ns: int = 1_000_000_000,
    ) -> None:
        self.adaptive_slop_ns = slop_ns
        self._queue_size = queue_size
        self._max_age = max_age_ns
        self.slop_ns = 0
        self.paired = 0
        self.unpaired = [0, 0]
        self.stale = 0
        self.jumps = 0
        self._record = StampRecord()
        self._restarts = RestartDetector()
        self._since_pair = [0, 0]
        self.clear()

    def clear(self) -> None:
        """Forget every message and stamp, but not the counters."""
        self._waiting: tuple[dict[int, T], dict[int, T]] = ({}, {})
        self._last: list[int | None] = [None, None]
        self._newest: list[int | None] = [None, None]
        self._behind = [0, 0]
        self._record.clear()

    def add(self, side: int, stamp: int, message: T) -> Pair[T] | None:
        """Take one message of ``side`` and return the pair it completes, if any."""
        self._notice_jump(side, stamp)
        newest, last = self._newest[side], self._last[side]
        self._newest[side] = stamp if newest is None else max(stamp, newest)
        if (last is not None and stamp <= last) or stamp in self._waiting[side]:
            self.stale += 1
            return None
        self._record.add(side, stamp)
        self._since_pair[side] += 1
        self._adapt()
        partner = self._find_partner(1 - side, stamp)
        if partner is None:
            self._waiting[side][stamp] = message
            self._drop_old()
            return None
        other = self._waiting[1 - side].pop(partner)
        self._drop_until(side, stamp)
        self._drop_until(1 - side, partner)
        self.paired += 1
        self._since_pair = [0, 0]
        if side == LEFT:
            return Pair(message, other, partner - stamp)
        return Pair(other, message, stamp - partner)

    def _notice_jump(self, side: int, stamp: int) -> None:
        last = self._last[side]
        self._behind[side] = self._behind[side] + 1 if last is not None and stamp < last else 0
        if self._restarts.add(side, stamp) or self._behind[side] >= _PATIENCE:
            self.jumps += 1
            for other in (LEFT, RIGHT):
                self.unpaired[other] += len(self._waiting[other])
            self.clear()

    def _find_partner(self, side: int, stamp: int) -> int | None:
        waiting = self._waiting[side]
        if stamp in waiting:
            self.slop_ns = 0
            return stamp
        if not self.slop_ns or not waiting:
            return None
        nearest = min(waiting, key=lambda other: abs(other - stamp))
        return nearest if abs(nearest - stamp) <= self.slop_ns else None

    def _drop_old(self) -> None:
        oldest = max(stamp for stamp in self._newest if stamp is not None) - self._max_age
        for side, waiting in enumerate(self._waiting):
            surplus = len(waiting) - self._queue_size
            ordered = sorted(waiting)
            for position, stamp in enumerate(ordered):
                if position < surplus or stamp < oldest:
                    del waiting[stamp]
                    self.unpaired[side] += 1

    def _drop_until(self, side: int, stamp: int) -> None:
        """Drop what is not newer than a paired stamp; it would come out of order."""
        self._last[side] = stamp
        for old in [s for s in self._waiting[side] if s <= stamp]:
            del self._waiting[side][old]
            self.unpaired[side] += 1

    def _adapt(self) -> None:
        if min(self._since_pair) < _PATIENCE:
            return
        self._since_pair = [0, 0]
        skew = self.typical_skew_ns()
        # Equal stamps on both sides mean that partners exist and were lost on the way.
        if skew is None or abs(skew) > self.adaptive_slop_ns or self._record.has_equals:
            return
        # Beyond half a period an image's neighbour in time would pass for its partner.
        self.slop_ns = min(self.adaptive_slop_ns, self._record.period_ns // 2)

    def typical_skew_ns(self) -> int | None:
        """Return how far right stamps lie behind left ones; see `StampRecord.typical_skew_ns`."""
        return self._record.typical_skew_ns()
