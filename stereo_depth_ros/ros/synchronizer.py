"""Pair left and right messages by stamp; the newest complete pair wins.

Unlike message_filters it holds no lock during anything, survives clock jumps and looping bags,
counts what it drops, and can find out by itself that the stamps of the two cameras differ.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Generic, TypeVar

T = TypeVar("T")

LEFT, RIGHT = 0, 1

_JUMP_NS = 1_000_000_000
"""A stamp so far behind its predecessor means another clock, not another order of arrival."""

_PATIENCE = 10
"""So many images in a row prove a point: stamps are never equal, or a short bag began anew."""


@dataclass(frozen=True)
class Pair(Generic[T]):
    """Two messages taken together; ``skew_ns`` is right stamp minus left stamp."""

    left: T
    right: T
    skew_ns: int


class PairSynchronizer(Generic[T]):
    """Pairs two streams; stamps are in ns, ``mode`` is "auto", "true" or "false" (approximate).

    Counters since the start: ``paired``, ``unpaired`` (left, right), ``stale`` (not newer than
    what was paired already) and ``jumps`` of the clock.
    """

    def __init__(self, mode: str = "auto", slop_ns: int = 10_000_000, queue_size: int = 10) -> None:
        self._mode = mode
        self._slop = slop_ns if mode == "true" else 0
        self._minimum_slop = slop_ns
        self._queue_size = queue_size
        self.paired = 0
        self.unpaired = [0, 0]
        self.stale = 0
        self.jumps = 0
        self.skews: deque[int] = deque(maxlen=60)
        self._recent: tuple[deque[int], deque[int]] = (deque(maxlen=30), deque(maxlen=30))
        self._since_pair = [0, 0]
        self._clear()

    def _clear(self) -> None:
        self._waiting: tuple[dict[int, T], dict[int, T]] = ({}, {})
        self._last: list[int | None] = [None, None]
        self._newest: list[int | None] = [None, None]
        self._behind = [0, 0]
        for stamps in self._recent:
            stamps.clear()

    @property
    def slop_ns(self) -> int:
        """Largest difference of stamps that is paired at present; 0 pairs equal stamps only."""
        return self._slop

    def add(self, side: int, stamp: int, message: T) -> Pair[T] | None:
        """Take one message of ``side`` and return the pair it completes, if any."""
        newest, last = self._newest[side], self._last[side]
        self._behind[side] = self._behind[side] + 1 if last is not None and stamp < last else 0
        jumped = newest is not None and stamp < newest - _JUMP_NS
        if jumped or self._behind[side] >= _PATIENCE:
            self.jumps += 1
            for other in (LEFT, RIGHT):
                self.unpaired[other] += len(self._waiting[other])
            self._clear()
            newest = last = None
        self._newest[side] = stamp if newest is None else max(stamp, newest)
        if (last is not None and stamp <= last) or stamp in self._waiting[side]:
            self.stale += 1
            return None
        self._recent[side].append(stamp)
        self._since_pair[side] += 1
        self._adapt()
        partner = self._partner(1 - side, stamp)
        if partner is None:
            self._waiting[side][stamp] = message
            if len(self._waiting[side]) > self._queue_size:
                del self._waiting[side][min(self._waiting[side])]
                self.unpaired[side] += 1
            return None
        other = self._waiting[1 - side].pop(partner)
        self._forget(side, stamp)
        self._forget(1 - side, partner)
        self.paired += 1
        self._since_pair = [0, 0]
        skew = (partner - stamp) if side == LEFT else (stamp - partner)
        self.skews.append(skew)
        left, right = (message, other) if side == LEFT else (other, message)
        return Pair(left, right, skew)

    def _partner(self, side: int, stamp: int) -> int | None:
        waiting = self._waiting[side]
        if stamp in waiting:
            return stamp
        if not self._slop or not waiting:
            return None
        nearest = min(waiting, key=lambda other: abs(other - stamp))
        return nearest if abs(nearest - stamp) <= self._slop else None

    def _forget(self, side: int, stamp: int) -> None:
        """Drop what is not newer than a paired stamp; it would come out of order."""
        self._last[side] = stamp
        for old in [s for s in self._waiting[side] if s <= stamp]:
            del self._waiting[side][old]
            self.unpaired[side] += 1

    def _adapt(self) -> None:
        if self._mode != "auto" or min(self._since_pair) < _PATIENCE:
            return
        self._since_pair = [0, 0]
        skew = self.typical_skew_ns()
        if skew:
            # Beyond half a period an image's neighbour in time would pass for its partner.
            self._slop = min(max(self._minimum_slop, abs(skew) * 3 // 2), self._period_ns() // 2)

    def _period_ns(self) -> int:
        steps = [[b - a for a, b in pairwise(sorted(stamps))] for stamps in self._recent]
        return int(min(median(side) for side in steps if side))

    def typical_skew_ns(self) -> int | None:
        """Median of right minus nearest left stamp of late, None while too little is known.

        None, too, where the skew is not clearly less than half the period: such streams cannot be
        paired by time.
        """
        left, right = self._recent
        if len(left) < 3 or not right:
            return None
        typical = int(median(r - min(left, key=lambda s: abs(s - r)) for r in right))
        return typical if abs(typical) < 0.45 * self._period_ns() else None
