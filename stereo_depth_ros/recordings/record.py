"""What became of each pair, as one line of a file that outlives a killed run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.recordings.write_errors import name_file


@dataclass(frozen=True)
class Record:
    """What became of one pair.

    Attributes
    ----------
    name, stamp_ns, time_ns
        As of `stereo_depth_ros.recordings.frame.Frame`.
    skipped
        Why it has no results; empty where it has.
    valid, confidence
        Share of valid pixels, and the mean confidence.
    low, high
        Limits in m between which most of its depth lies, or in px of its disparity; 0 for none.
    seconds
        Time of each stage.
    size
        Bytes written.
    """

    name: str
    stamp_ns: int
    time_ns: int
    skipped: str = ""
    valid: float = 0.0
    confidence: float = 0.0
    low: float = 0.0
    high: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    size: int = 0


class Journal:
    """The records of a run in a file of JSON lines, in order; the first line says of what run.

    Parameters
    ----------
    path
        The file.
    run
        What the results depend on, as JSON holds it.
    result
        What the run makes, for the text of the error.

    Attributes
    ----------
    records
        What is done already.
    is_complete
        Whether the run it tells of came to its end.
    losses
        As of `stereo_depth_ros.recordings.frame.Source`, once it is complete.

    Raises
    ------
    InputError
        When the file is of another run; the text says in what they differ.
    """

    def __init__(self, path: Path, run: dict[str, Any], result: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self.records: list[Record] = []
        self.is_complete = False
        self.losses: dict[str, int] = {}
        lines = list(_read_lines(path))
        if lines:
            self._check_run(lines[0].get("run", {}), json.loads(json.dumps(run)), result)
            for line in lines[1:]:
                if "complete" in line:
                    self.is_complete, self.losses = True, line["losses"]
                else:
                    self.records.append(Record(**line))
        self._run = run

    def begin(self, count: int) -> None:
        """Go on after the first ``count`` records, of a complete run from its end.

        A line that a killed run left half written goes.
        """
        if not self.is_complete:
            del self.records[count:]
            lines = [{"run": self._run}, *map(asdict, self.records)]
            with name_file(self._path):
                write_text(self._path, "".join(map(_as_line, lines)))
                self._file = self._path.open("a", encoding="utf-8")

    def add(self, record: Record) -> None:
        """Put down what became of the next pair."""
        assert self._file is not None
        self.records.append(record)
        with name_file(self._path):
            self._file.write(_as_line(asdict(record)))
            self._file.flush()

    def complete(self, losses: dict[str, int]) -> None:
        """Put down that the run came to its end, and what never became a pair."""
        assert self._file is not None
        self.is_complete, self.losses = True, losses
        self._file.write(_as_line({"complete": True, "losses": losses}))
        self.close()

    def close(self) -> None:
        """Bring all of it to the disk."""
        if self._file is not None and not self._file.closed:
            with name_file(self._path), self._file as file:
                file.flush()
                os.fsync(file.fileno())

    def _check_run(self, earlier: dict[str, Any], run: dict[str, Any], result: Path) -> None:
        different = sorted(
            name for name in earlier.keys() | run.keys() if earlier.get(name) != run.get(name)
        )
        if different:
            is_within = self._path.parent == result
            raise InputError(
                f"{result} is of another run (differs in {', '.join(different)}); give another "
                f"name, or remove it{'' if is_within else f' and {self._path}'}"
            )


def _as_line(content: dict[str, Any]) -> str:
    return json.dumps(content) + "\n"


def _read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines at the beginning of the file, none where there is no file."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        try:
            content = json.loads(line)
        except ValueError:
            return
        if not line.endswith("\n") or not isinstance(content, dict):
            return
        yield content
