"""At most so many frames per second, by schedule."""

from __future__ import annotations


class RateLimit:
    """Admits frames at up to ``rate`` per second (Hz); 0 admits all. Times are seconds."""

    def __init__(self) -> None:
        self._rate = 0.0
        self.restart()

    @property
    def rate(self) -> float:
        """The limit in Hz, 0 for none; a new one counts from the next frame."""
        return self._rate

    @rate.setter
    def rate(self, rate: float) -> None:
        if rate != self._rate:
            self._rate = rate
            self.restart()

    def restart(self) -> None:
        """Admit the next frame whatever came before."""
        self._next_due: float | None = None

    def admit(self, now: float) -> bool:
        """Return whether a frame at time ``now`` is due, and count it as processed if so."""
        if not self._rate:
            return True
        period = 1 / self._rate
        if self._next_due is None:
            self._next_due = now
        if now < self._next_due:
            return False
        # Due by schedule, not by arrival, so that jitter does not cost frames.
        self._next_due = max(self._next_due, now - period) + period
        return True
