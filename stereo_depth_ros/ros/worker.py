"""One thread that owns the engine and always takes the newest frame."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

T = TypeVar("T")

_LOG = logging.getLogger(__name__)


class LatestWorker(Generic[T]):
    """Runs ``handle`` on submitted items in one thread; an item not yet begun is replaced.

    So latency is bounded by one period plus one inference whatever the input rate, and everything
    that needs one thread (an engine's GPU context) has one: `call` runs there too.
    """

    def __init__(self, handle: Callable[[T], None], name: str) -> None:
        self._handle = handle
        self._condition = threading.Condition()
        self._item: T | None = None
        self._jobs: list[tuple[Callable[[], Any], Future]] = []
        self._is_closing = False
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def submit(self, item: T) -> bool:
        """Offer ``item``; returns whether it replaced one that had not been begun."""
        with self._condition:
            replaced = self._item is not None
            self._item = item
            self._condition.notify()
        return replaced

    def discard(self) -> None:
        """Forget the item that waits, if any."""
        with self._condition:
            self._item = None

    def call(self, job: Callable[[], Any]) -> Any:
        """Run ``job`` in the thread, wait, and return its result or raise its exception."""
        future: Future = Future()
        with self._condition:
            if self._is_closing:
                raise RuntimeError("the worker has ended")
            self._jobs.append((job, future))
            self._condition.notify()
        return future.result()

    def close(self, timeout: float = 1.0, last: Callable[[], Any] | None = None) -> bool:
        """Stop after the running item; returns whether the thread ended in ``timeout`` seconds.

        ``last`` is the last thing that the thread does.
        """
        with self._condition:
            if last is not None and not self._is_closing:
                self._jobs.append((last, Future()))
            self._is_closing = True
            self._item = None
            self._condition.notify()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            # Nothing of the last round is kept alive while waiting, an engine least of all.
            item = job = None
            with self._condition:
                self._condition.wait_for(
                    lambda: self._jobs or self._item is not None or self._is_closing
                )
                job = self._jobs.pop(0) if self._jobs else None
                if job is None:
                    if self._is_closing:
                        return
                    item, self._item = self._item, None
            if job is not None:
                _settle(*job)
            elif item is not None:
                try:
                    self._handle(item)
                except Exception:
                    # Whatever a handler misses, the next item must find a living thread.
                    _LOG.exception("an item was lost")


def _settle(job: Callable[[], Any], future: Future) -> None:
    try:
        future.set_result(job())
    except BaseException as error:
        future.set_exception(error)
