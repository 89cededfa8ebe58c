"""The loop: pairs are read, judged and handed to workers, and their results taken in order.

What depends on the pairs before (pairing, brightness of 16-bit images, whether the rig is trusted)
happens here, in one process and in order; matching and writing, which depend on one pair alone,
in the workers. So their number changes nothing, and neither does a run that is killed and started
again: it reads everything anew, and matches what is missing.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import ExitStack, closing, suppress
from dataclasses import asdict, replace
from typing import Any

from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import EngineSpec
from stereo_depth_ros.errors import InputError, UserError
from stereo_depth_ros.folder_lock import lock_folder
from stereo_depth_ros.recordings.frame import Frame, Skip, Source
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.judge import Judge
from stereo_depth_ros.recordings.matcher import Plan
from stereo_depth_ros.recordings.pool import Pool
from stereo_depth_ros.recordings.record import Journal, Record
from stereo_depth_ros.recordings.report import make_page
from stereo_depth_ros.recordings.summary import Summary, summarise
from stereo_depth_ros.recordings.target import Target
from stereo_depth_ros.recordings.write_errors import name_file

PICTURES = 12
"""Pairs of which the report shows pictures, about."""

Done = Callable[[Record, bool], None]
"""Told of every record, and whether it is one of this run."""


def process(
    source: Source,
    target: Target,
    plan: Plan,
    workers: int = 1,
    is_checked: bool = True,
    say: Callable[[str], None] = lambda line: None,
    done: Done = lambda record, is_new: None,
) -> Summary:
    """Process a recording, or what an interrupted run left of it.

    Parameters
    ----------
    source, target
        Of `open_source` and `open_target`.
    plan
        What to match with, and how.
    workers
        How many pairs are matched at once.
    is_checked
        Whether to refuse pairs that can only give wrong depth.
    say
        Given what is to be known of engine, geometry and pairs, a line each.
    done
        Told of every pair, in order.

    Raises
    ------
    InputError
        When the settings hold a filter over time, when another process writes to ``target`` or
        another run did, or when no pair gives any result.
    EngineError, ModelError, WorkerError, TargetError
        When matching or writing fails; started again it goes on from there.
    """
    if plan.settings.temporal_gain < 1:
        raise InputError(
            "recordings are processed without the filter over time; temporal_gain is 1"
        )
    plan = replace(plan, camera=_find_camera(source))
    # Opened first, so that a model that is not there leaves no folder behind.
    with Pool(plan, workers) as pool:
        spec = pool.open()
        say(f"engine: {spec}")
        with ExitStack() as stack:
            with name_file(target.result):
                stack.enter_context(lock_folder(target.work, "run"))
            summary = _process(source, target, plan, pool, spec, is_checked, say, done)
    shutil.rmtree(target.work, ignore_errors=True)
    return summary


def _process(
    source: Source,
    target: Target,
    plan: Plan,
    pool: Pool,
    spec: EngineSpec,
    is_checked: bool,
    say: Callable[[str], None],
    done: Done,
) -> Summary:
    """Do what `process` does, with an engine and a target that are at hand."""
    identity = _identify(source, target, plan, spec, is_checked)
    try:
        opened = Journal(target.journal, identity, target.result)
    except InputError:
        # What this run made, not what an interrupted one left for the next.
        if [entry.name for entry in target.work.iterdir()] == ["run.lock"]:
            shutil.rmtree(target.work)
        raise
    with closing(opened) as journal:
        journal.begin(target.count_whole(journal.records))
        judge = Judge(source.is_stream, is_checked, say)
        try:
            return _Run(source, target, journal, pool, judge, done).execute()
        except UserError:
            if all(record.skipped for record in journal.records):
                _discard(target)
            raise


def _find_camera(source: Source) -> StereoCamera | None:
    """Return the geometry of the first pair that has one."""
    frames = (frame for frame in source if isinstance(frame, Frame))
    return next((frame.geometry.camera for frame in frames), None)


def _discard(target: Target) -> None:
    """Remove what a run without results leaves, so that a better command may follow."""
    target.journal.unlink(missing_ok=True)
    shutil.rmtree(target.work, ignore_errors=True)
    with suppress(OSError):  # a video's folder, or one that holds anything
        target.journal.parent.rmdir()


def _identify(
    source: Source, target: Target, plan: Plan, spec: EngineSpec, is_checked: bool
) -> dict[str, Any]:
    """Return what the results depend on."""
    return {
        **source.identity,
        "model": [spec.name, spec.backend, spec.precision, spec.max_disparity, spec.device],
        "settings": asdict(plan.settings),
        "outputs": repr(target.writer),
        "check": is_checked,
    }


class _Run:
    def __init__(
        self,
        source: Source,
        target: Target,
        journal: Journal,
        pool: Pool,
        judge: Judge,
        done: Done,
    ) -> None:
        self._source = source
        self._target = target
        self._journal = journal
        self._pool = pool
        self._done = done
        self._judge = judge
        self._earlier = list(journal.records)
        self._records: list[Record] = []
        self._new: list[Record] = []
        self._pending: deque[Future[Record] | Record] = deque()

    def execute(self) -> Summary:
        """Do all of it."""
        if self._journal.is_complete:
            return summarise(self._earlier, self._journal.losses, self._source.is_metric)
        began = time.perf_counter()
        try:
            for index, frame in enumerate(self._source):
                self._pending.append(self._begin(index, frame))
                while len(self._pending) > self._pool.count + 1:
                    self._take()
            while self._pending:
                self._take()
        finally:
            for future in self._pending:
                if isinstance(future, Future):
                    future.cancel()
        return self._finish(began)

    def _begin(self, index: int, frame: Frame | Skip) -> Future[Record] | Record:
        """Return what became of a pair, or what will."""
        prepared = self._judge.prepare(frame)
        if index < len(self._earlier):
            return self._earlier[index]
        if isinstance(prepared, str):
            return Record(frame.name, frame.stamp_ns, frame.time_ns, skipped=prepared)
        assert isinstance(frame, Frame)
        if not any(not record.skipped for record in self._records):
            self._target.check(frame.geometry.is_metric)
        stride = max(1, self._source.expected // PICTURES)
        picture = self._target.work / "pictures" / f"{index:09d}.jpg"
        return self._pool.submit(
            Job(
                frame.name,
                frame.stamp_ns,
                frame.time_ns,
                frame.frame_id,
                prepared,
                frame.geometry.is_metric,
                picture if index % stride == 0 else None,
            )
        )

    def _take(self) -> None:
        """Take the next result in order."""
        next_one = self._pending[0]
        record = next_one if isinstance(next_one, Record) else self._pool.wait(next_one)
        self._pending.popleft()
        is_new = len(self._records) >= len(self._earlier)
        self._records.append(record)
        if is_new:
            self._journal.add(record)
            self._new.append(record)
        with name_file(self._target.result):
            self._target.collect(self._records)
        self._done(record, is_new)

    def _finish(self, began: float) -> Summary:
        records, losses = self._records, self._source.losses
        if all(record.skipped for record in records):
            reasons = [record.skipped for record in records] or [*losses]
            raise InputError(
                f"no pair gives any result: {reasons[0] if reasons else 'none is there'}"
            )
        with name_file(self._target.result):
            self._target.finish(records)
        wall_s = time.perf_counter() - began
        is_metric = self._source.is_metric
        summary = summarise(records, losses, is_metric, self._new, wall_s, self._pool.count)
        files = sorted((self._target.work / "pictures").glob("*.jpg"))
        pictures = [(records[int(file.stem)], file) for file in files]
        notes = [*self._source.notes, *self._judge.said]
        page = make_page(notes, self._target.result.name, summary, records, pictures)
        with name_file(self._target.report):
            write_text(self._target.report, page)
        self._journal.complete(losses)
        return summary
