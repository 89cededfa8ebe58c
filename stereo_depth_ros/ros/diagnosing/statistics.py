"""What the node remembers of its recent work, for diagnostics and the watchdog."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque

import numpy as np

_RECENT = 300


class Rate:
    """Events per second over the last few seconds."""

    def __init__(self, window: float = 5.0) -> None:
        self._window = window
        self._began = time.monotonic()
        self._times: deque[float] = deque(maxlen=2000)

    def tick(self) -> None:
        """Count one event now."""
        self._times.append(time.monotonic())

    @property
    def silence(self) -> float:
        """Seconds since the last event, or since the count began."""
        return time.monotonic() - (self._times[-1] if self._times else self._began)

    @property
    def hz(self) -> float:
        """Events per second over the window, 0 with fewer than two."""
        now = time.monotonic()
        recent = [t for t in tuple(self._times) if now - t <= self._window]
        return (len(recent) - 1) / (recent[-1] - recent[0]) if len(recent) > 1 else 0.0


class Statistics:
    """Counters, timings and the last error; of one configuration.

    Counters: ``pairs`` offered to the worker, ``replaced`` before they were begun, ``limited`` by
    max_rate, ``published`` and ``failed``. ``confidence_mean`` and ``valid``, the share of pixels
    that are not unknown, are of the newest frame and NaN before the first. ``last_published`` and
    ``expecting_since`` are monotonic times in s, ``last_error`` such a time and a text.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.counts: Counter[str] = Counter()
        self.published = Rate()
        self.last_published: float | None = None
        self.last_error: tuple[float, str] | None = None
        self._busy_since: float | None = None
        self.confidence_mean = self.valid = float("nan")
        self._timings: dict[str, deque[float]] = defaultdict(lambda: deque(maxlen=_RECENT))

        self.expect()

    def expect(self) -> None:
        """Count the silence from now, as output cannot be expected earlier."""
        self.expecting_since = time.monotonic()

    def count(self, counter: str) -> None:
        """Add one to a counter."""
        with self._lock:
            self.counts[counter] += 1

    def begin_frame(self) -> None:
        """Record that work on a frame begins."""
        self._busy_since = time.monotonic()

    def end_frame(self) -> None:
        """Record that work on the frame has ended, however it did."""
        self._busy_since = None

    @property
    def busy_s(self) -> float:
        """Seconds for which the frame of the moment has been worked on, 0 without one."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    @property
    def silence_s(self) -> float:
        """Seconds since a frame was published, or since one could be expected."""
        return time.monotonic() - max(self.expecting_since, self.last_published or 0.0)

    def record_published(
        self, seconds: dict[str, float], latency: float, confidence: float, valid: float
    ) -> None:
        """Record a published frame.

        Takes seconds per stage, seconds from its stamp, mean confidence, share of valid pixels.
        Two sums are kept beside the stages: ``own``, all of them but the inference, and
        ``overhead``, stamp to publication less the inference.
        """
        inference = seconds.get("inference", 0.0)
        seconds = {
            **seconds,
            "own": sum(seconds.values()) - inference,
            "overhead": latency - inference,
            "latency": latency,
        }
        with self._lock:
            self.counts["published"] += 1
            for stage, value in seconds.items():
                self._timings[stage].append(value)
        self.confidence_mean, self.valid = confidence, valid
        self.published.tick()
        self.last_published = time.monotonic()
        self.last_error = None

    def record_error(self, text: str) -> None:
        """Record a frame that failed."""
        self.count("failed")
        self.last_error = (time.monotonic(), text)

    def clear_error(self) -> None:
        """Record a frame that succeeded without anything to publish."""
        self.last_error = None

    def percentiles_ms(self) -> dict[str, tuple[float, float]]:
        """Return (p50, p95) in ms of every stage, and of ``own``, ``overhead`` and ``latency``."""
        with self._lock:
            recent = {stage: list(values) for stage, values in self._timings.items()}
        return {
            stage: (
                float(np.percentile(values, 50) * 1e3),
                float(np.percentile(values, 95) * 1e3),
            )
            for stage, values in recent.items()
        }
