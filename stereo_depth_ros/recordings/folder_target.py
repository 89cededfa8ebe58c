"""Results as files, a folder for each kind, a file for each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.recordings.array_files import KINDS
from stereo_depth_ros.recordings.frame_files import count_whole, put, size_of
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.stereo_match import StereoMatch

DEFAULT = ("depth", "confidence")
WITHOUT_CALIBRATION = ("disparity", "confidence")
"""The default where there is no depth."""


@dataclass(frozen=True)
class FileWriter:
    """Writes ``kinds`` of files into ``folder``; see `FrameWriter`."""

    folder: Path
    kinds: tuple[str, ...]

    def write(self, job: Job, match: StereoMatch) -> int:
        """Write the files of one pair."""
        contents = [KINDS[name].encode(match) for name in self.kinds]
        paths = self.list_paths(job.name)
        scratch = self.folder / ".work" / "scratch"
        return sum(put(path, one, scratch) for path, one in zip(paths, contents, strict=True))

    def list_paths(self, name: str) -> list[Path]:
        """Return the files of the pair ``name``."""
        return [self.folder / kind / f"{name}{KINDS[kind].suffix}" for kind in self.kinds]


class FolderTarget:
    """Files in a folder; see `stereo_depth_ros.recordings.target.Target`.

    ``kinds`` are names of `KINDS`.
    """

    def __init__(self, folder: Path, kinds: Sequence[str]) -> None:
        self.result = folder
        self.work = folder / ".work"
        self.journal = folder / "frames.jsonl"
        self.report = folder / "report.html"
        self.writer = FileWriter(folder, tuple(kinds))

    def check(self, is_metric: bool) -> None:
        """Check that there is a calibration where one is needed."""
        metric = [name for name in self.writer.kinds if KINDS[name].is_metric]
        if metric and not is_metric:
            without = ", ".join(name for name, kind in KINDS.items() if not kind.is_metric)
            raise CalibrationError(
                f"without a calibration there is no {' and no '.join(metric)}: give one by "
                f"--calib, or choose by --outputs of {without}"
            )

    def count_whole(self, records: Sequence[Record]) -> int:
        """Count how many of ``records``, from the first, have all their results."""
        return count_whole(records, lambda r: sum(map(size_of, self.writer.list_paths(r.name))))

    def collect(self, records: Sequence[Record]) -> None:
        """Do nothing, as the files stand where they belong."""

    def finish(self, records: Sequence[Record]) -> None:
        """Do nothing, as the files stand where they belong."""
