"""The workers: one thread of this process, or several processes."""

from __future__ import annotations

import os
import threading
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing import get_context, parent_process
from typing import TypeVar

from stereo_depth_ros.engines import EngineSpec
from stereo_depth_ros.engines.tensorrt.progress import ignore_progress
from stereo_depth_ros.errors import UserError
from stereo_depth_ros.recordings.interrupts import hold_interrupts
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.matcher import Matcher, Plan
from stereo_depth_ros.recordings.record import Record

T = TypeVar("T")


class WorkerError(UserError):
    """A worker that died; the text names the cure."""


class Pool:
    """Matches jobs in ``count`` workers; a context manager that ends them.

    One worker is a thread of this process, so that reading and matching overlap; more are
    processes, each with an engine of its own.
    """

    def __init__(self, plan: Plan, count: int) -> None:
        self.count = count
        self._matcher = Matcher(plan)
        self._executor: Executor
        if count == 1:
            self._executor = ThreadPoolExecutor(1, "matcher")
        else:
            plan = replace(plan, report=ignore_progress)
            # A fork would share locks, and with CUDA it crashes.
            context = get_context("spawn")
            self._executor = ProcessPoolExecutor(count, context, _begin, (plan,))

    def open(self) -> EngineSpec:
        """Open the engine of one worker, and say what it is.

        Raises
        ------
        ModelError, EngineError
            When there is none.
        WorkerError
            When the worker died.
        """
        if self.count == 1:
            return self._executor.submit(self._matcher.open).result()
        with hold_interrupts():
            future = self._executor.submit(_open_here)
        return self.wait(future)

    def submit(self, job: Job) -> Future[Record]:
        """Let the next free worker take ``job``.

        Raises
        ------
        WorkerError
            When a worker died.
        """
        if self.count == 1:
            return self._executor.submit(self._matcher.match, job)
        try:
            with hold_interrupts():
                return self._executor.submit(_match_here, job)
        except BrokenProcessPool as error:
            raise _describe_death() from error

    def wait(self, future: Future[T]) -> T:
        """Return the result of ``future``, or raise what its worker raised.

        Raises
        ------
        WorkerError
            When the worker died.
        """
        try:
            return future.result()
        except BrokenProcessPool as error:
            raise _describe_death() from error

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.count == 1:
            # In its own thread, as all that is done with an engine.
            self._executor.submit(self._matcher.close)
        self._executor.shutdown(wait=True, cancel_futures=self.count > 1)


def _describe_death() -> WorkerError:
    return WorkerError(
        "a worker process died, as when memory runs out; start again with fewer --workers: what "
        "is done is not done again"
    )


_MATCHERS: list[Matcher] = []
"""That of this process, where it is a worker."""


def _begin(plan: Plan) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _MATCHERS.append(Matcher(plan))


def _end_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _open_here() -> EngineSpec:
    return _MATCHERS[0].open()


def _match_here(job: Job) -> Record:
    return _MATCHERS[0].match(job)
