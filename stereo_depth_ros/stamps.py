"""The recent stamps of two streams, and how far apart the two run."""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from statistics import median_low

LEFT, RIGHT = 0, 1

JUMP_NS = 1_000_000_000
"""A stamp so far behind its predecessor means another clock, not another order of arrival."""

_REPEATS = 3
"""So many stamps in a row that came before, each newer than the one before it, are a new round."""


class StampRecord:
    """The last stamps of the left and the right stream, in ns."""

    def __init__(self) -> None:
        self._recent: tuple[deque[int], deque[int]] = (deque(maxlen=30), deque(maxlen=30))

    def add(self, side: int, stamp: int) -> None:
        """Record one stamp."""
        self._recent[side].append(stamp)

    def clear(self) -> None:
        """Forget all, as after a jump of the clock."""
        for stamps in self._recent:
            stamps.clear()

    @property
    def has_equals(self) -> bool:
        """Whether some stamp occurred on both sides."""
        return not set(self._recent[LEFT]).isdisjoint(self._recent[RIGHT])

    @property
    def period_ns(self) -> int:
        """The smallest recent step; losses only make steps larger."""
        return min(b - a for stamps in self._recent for a, b in pairwise(sorted(set(stamps))))

    def typical_skew_ns(self) -> int | None:
        """Median of right minus nearest left stamp of late, None while too few have come.

        None, too, where the skew is not clearly less than half the period: such streams cannot be
        paired by time.
        """
        left, right = self._recent
        if len(left) < 3 or not right:
            return None
        typical = median_low(r - min(left, key=lambda s: abs(s - r)) for r in right)
        return typical if abs(typical) < 0.45 * self.period_ns else None


class RestartDetector:
    """Notices that two streams of stamps in ns begin anew, as when a bag is played in a loop."""

    def __init__(self) -> None:
        self._stamps: tuple[deque[int], deque[int]] = (deque(maxlen=200), deque(maxlen=200))
        self._previous: list[int | None] = [None, None]
        self._newest: list[int | None] = [None, None]
        self._repeats = [0, 0]

    def add(self, side: int, stamp: int) -> bool:
        """Record one stamp; returns whether it shows that the stream began anew."""
        newest, previous = self._newest[side], self._previous[side]
        self._newest[side] = stamp if newest is None else max(stamp, newest)
        self._previous[side] = stamp
        repeats = newest is not None and stamp <= newest and stamp in self._stamps[side]
        rises = previous is not None and stamp > previous
        self._repeats[side] = (self._repeats[side] if rises else 0) + 1 if repeats else 0
        if stamp not in self._stamps[side]:
            self._stamps[side].append(stamp)
        # A small step back may be another order of arrival, which brings no stamp twice.
        jumped = newest is not None and stamp < newest - JUMP_NS
        if not jumped and self._repeats[side] < _REPEATS:
            return False
        self._newest = [None, None]
        self._newest[side] = stamp
        self._repeats = [0, 0]
        return True
