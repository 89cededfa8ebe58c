"""What every target does with the results, in order, while workers write those of single pairs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from stereo_depth_ros.recordings.job import FrameWriter
from stereo_depth_ros.recordings.record import Record


class Target(Protocol):
    """Where the results go.

    Attributes
    ----------
    journal, report, work
        The file that tells what is done, the page about it, and the folder of what is under way.
    result
        What it all becomes, for people.
    """

    journal: Path
    report: Path
    work: Path
    result: Path

    @property
    def writer(self) -> FrameWriter:
        """What workers write with."""
        ...

    def check(self, is_metric: bool) -> None:
        """Check, with the first pair, that the results can be had.

        Raises
        ------
        InputError
            When they take a calibration that is not there.
        """
        ...

    def count_whole(self, records: Sequence[Record]) -> int:
        """Count how many of ``records``, from the first, have all their results."""
        ...

    def collect(self, records: Sequence[Record]) -> None:
        """Take what the last of ``records``, all up to now, says was written.

        Called for every pair in order, after a restart for those of before as well.
        """
        ...

    def finish(self, records: Sequence[Record]) -> None:
        """Put the results together."""
        ...
