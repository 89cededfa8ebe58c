"""The pairing of message_filters as a `Synchronizer`, its faults contained."""

from __future__ import annotations

from typing import Any

from stereo_depth_ros.ros.stamp import stamp_ns
from stereo_depth_ros.stamps import LEFT, RIGHT, RestartDetector, StampRecord
from stereo_depth_ros.synchronizer import Pair


class MessageFiltersSynchronizer:
    """TimeSynchronizer or, with ``slop_ns`` above 0, ApproximateTimeSynchronizer.

    message_filters holds its lock while it calls back, so the callback here only stores the pair;
    and since its queues never recover from a clock that went back, they are made anew then. The
    counters are those of `Synchronizer`; ``stale`` counts negative stamps alone.

    Raises
    ------
    ValueError
        Where message_filters is not installed.
    """

    def __init__(self, slop_ns: int, queue_size: int) -> None:
        try:
            import message_filters
        except ImportError as error:
            raise ValueError(
                "sync 'exact' and 'approximate' need the package message_filters; install "
                "ros-$ROS_DISTRO-message-filters, or set sync to latest"
            ) from error
        self._package = message_filters
        self.slop_ns = slop_ns
        self.adaptive_slop_ns = 0
        self._queue_size = queue_size
        self.paired = 0
        self.stale = 0
        self.jumps = 0
        self._received = [0, 0]
        self._record = StampRecord()
        self._restarts = RestartDetector()
        self._pairs: list[tuple[Any, Any]] = []
        self.clear()

    def clear(self) -> None:
        """Forget every message and stamp, but not the counters."""
        self._record.clear()
        self._filters = [self._package.SimpleFilter() for _ in (LEFT, RIGHT)]
        if self.slop_ns:
            self._pairing = self._package.ApproximateTimeSynchronizer(
                self._filters, self._queue_size, self.slop_ns * 1e-9
            )
        else:
            self._pairing = self._package.TimeSynchronizer(self._filters, self._queue_size)
        self._pairing.registerCallback(lambda left, right: self._pairs.append((left, right)))

    @property
    def unpaired(self) -> list[int]:
        """Images (left, right) that neither found a partner nor wait for one."""
        waiting = [len(queue) for queue in self._pairing.queues]
        return [self._received[s] - self.paired - waiting[s] for s in (LEFT, RIGHT)]

    def add(self, side: int, stamp: int, message: Any) -> Pair[Any] | None:
        """Take one message of ``side`` stamped ``stamp`` ns; return the pair it completes."""
        if stamp < 0:
            self.stale += 1
            return None
        if self._restarts.add(side, stamp):
            self.jumps += 1
            self.clear()
        self._received[side] += 1
        self._record.add(side, stamp)
        self._filters[side].signalMessage(message)
        if not self._pairs:
            return None
        left, right = self._pairs[-1]
        self.paired += len(self._pairs)
        self._pairs.clear()
        return Pair(left, right, stamp_ns(right) - stamp_ns(left))

    def typical_skew_ns(self) -> int | None:
        """Return how far right stamps lie behind left ones; see `StampRecord.typical_skew_ns`."""
        return self._record.typical_skew_ns()
