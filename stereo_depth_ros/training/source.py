"""Where training batches come from, and several such sources as one."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

from stereo_depth_ros.training.batch import Batch


class Drawn(Protocol):
    """A batch that is being prepared."""

    def wait(self) -> Batch:
        """Wait until it is ready and return it."""
        ...


class Source(Protocol):
    """Endless batches. All its calls come from one thread."""

    def draw(self) -> Drawn:
        """Begin to prepare the next batch."""
        ...

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` goes on from, of what `torch.load` reads as weights alone."""
        ...

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where another source, of the same arguments, was: to the last bit."""
        ...


class Mixture:
    """Batches of several sources, as often as their weights say: after any number, to one batch."""

    def __init__(self, sources: Sequence[Source], weights: Sequence[float]) -> None:
        self._sources, self._weights = sources, weights
        self._drawn = [0] * len(sources)

    def draw(self) -> Drawn:
        """Begin to prepare the next batch, of the source that lags most behind its share."""
        # Of equal ones the first.
        chosen = min(
            range(len(self._sources)),
            key=lambda index: (self._drawn[index] + 1) / self._weights[index],
        )
        self._drawn[chosen] += 1
        return self._sources[chosen].draw()

    def get_state(self) -> dict[str, Any]:
        """Return what `set_state` goes on from."""
        states = [source.get_state() for source in self._sources]
        return {"drawn": list(self._drawn), "sources": states}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on where another mixture, of the same arguments, was."""
        self._drawn = list(state["drawn"])
        for source, own in zip(self._sources, state["sources"], strict=True):
            source.set_state(own)


_AHEAD = 2  # one batch is drawn while workers have another


def draw_ahead(source: Source) -> Generator[tuple[Batch, dict[str, Any]], None, None]:
    """Yield the batches of ``source``, the next ones drawn while the caller works.

    With each comes the state of the source after it.
    """

    def draw() -> tuple[Drawn, dict[str, Any]]:
        return source.draw(), source.get_state()

    with ThreadPoolExecutor(1, "source") as worker:
        ahead = deque(worker.submit(draw) for _ in range(_AHEAD))
        while True:
            drawn, state = ahead.popleft().result()
            batch = drawn.wait()
            ahead.append(worker.submit(draw))
            yield batch, state
