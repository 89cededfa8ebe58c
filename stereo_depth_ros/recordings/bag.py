"""Bags of ROS 1 and ROS 2, whole or damaged, read without ROS."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.excerpt import excerpt
from stereo_depth_ros.recordings.library import import_rosbags
from stereo_depth_ros.recordings.mended_mcap import MendedMcap, list_ends
from stereo_depth_ros.recordings.topics import INFO

SUFFIXES = (".mcap", ".db3", ".bag")

_ZSTD = b"\x28\xb5\x2f\xfd"
"""How what zstd compressed begins, and no message."""

_METADATA = "metadata.yaml"

_STEP_NS = 100_000_000
"""Time that is left out after a damaged place, doubled until reading goes on."""

_LOG = logging.getLogger(__name__)


class BagError(InputError):
    """A bag that cannot be read; the text names the cause and the cure."""


class BagMessage(NamedTuple):
    """A message as it lies in the bag: ``raw`` bytes of ``type``, received at ``time_ns``."""

    topic: str
    type: str
    time_ns: int
    raw: bytes


def is_bag(path: Path) -> bool:
    """Whether ``path`` is the file of a bag, or a folder with such files."""
    if path.is_dir():
        return (path / _METADATA).is_file() or any(_list_files(path))
    return path.suffix in SUFFIXES


class Bag:
    """An open bag; a context manager.

    Attributes
    ----------
    problems
        What was found damaged, and was worked around.
    types
        The type of every topic, as ROS 2 writes it.
    counts
        The number of messages of every topic.
    is_ros1
        Whether it is of ROS 1.

    Raises
    ------
    BagError
        When nothing of it can be read.
    """

    def __init__(self, path: Path) -> None:
        typesys = import_rosbags("typesys")
        self._zstd = import_rosbags("rosbag2.reader").zstd
        self.problems: list[str] = []
        self._stack = ExitStack()
        self._readers = self._open(path)
        self.is_ros1 = type(self._readers[0]).__module__.startswith("rosbags.rosbag1")
        stores = typesys.Stores
        self._store = typesys.get_typestore(stores.ROS1_NOETIC if self.is_ros1 else stores.LATEST)
        self._ros2 = typesys.get_typestore(stores.LATEST) if self.is_ros1 else self._store
        self.types: dict[str, str] = {}
        self.counts: dict[str, int] = {}
        for reader in self._readers:
            for connection in reader.connections:
                topic = connection.topic
                self.types.setdefault(topic, connection.msgtype)
                self.counts[topic] = self.counts.get(topic, 0) + connection.msgcount

    def __enter__(self) -> Bag:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close its files."""
        self._stack.close()

    @property
    def connections(self) -> list[Any]:
        """What rosbags says of every topic, one connection each."""
        first = {c.topic: c for reader in reversed(self._readers) for c in reader.connections}
        return [first[topic] for topic in sorted(first)]

    def messages(
        self, topics: Collection[str], start_ns: int | None = None, stop_ns: int | None = None
    ) -> Iterator[BagMessage]:
        """Yield the messages of ``topics`` in the order in which they were received.

        Parameters
        ----------
        topics
            Their names.
        start_ns, stop_ns
            Yield those received from the first on and before the second.

        What is damaged is left out, and named in ``problems``.
        """
        for reader in self._readers:
            connections = [c for c in reader.connections if c.topic in topics]
            if connections:
                yield from self._read(reader, connections, start_ns, stop_ns)

    def deserialize(self, message: BagMessage) -> Any:
        """Return the fields of a message of a standard type, named as in ROS 2.

        Raises
        ------
        BagError
            When it is damaged.
        """
        read = self._store.deserialize_ros1 if self.is_ros1 else self._store.deserialize_cdr
        try:
            fields = read(self._decompress(message.raw), message.type)
        # The library's own, and what bytes that fit no type raise within it.
        except Exception as error:
            raise BagError(f"damaged message ({excerpt(error, 80)})") from error
        if self.is_ros1 and message.type == INFO:
            names = {"D": "d", "K": "k", "R": "r", "P": "p"}
            return SimpleNamespace(**{names.get(n, n): v for n, v in vars(fields).items()})
        return fields

    def to_cdr(self, message: BagMessage) -> bytes:
        """Return the bytes of a message as ROS 2 writes them.

        Raises
        ------
        BagError
            For one that is damaged, and one of ROS 1 that is of no standard type.
        """
        try:
            if not self.is_ros1:
                return self._decompress(message.raw)
            # By the type as ROS 2 has it, which has no sequence number in its header.
            return bytes(self._ros2.ros1_to_cdr(message.raw, message.type))
        except Exception as error:
            raise BagError(f"{message.topic} is not copied: {excerpt(error, 80)}") from error

    def _decompress(self, raw: bytes) -> bytes:
        """Return the bytes of a message that rosbag2 compressed, where no metadata says so."""
        return self._zstd.decompress(raw) if raw[:4] == _ZSTD else raw

    def _read(
        self, reader: Any, connections: list[Any], start: int | None, stop: int | None
    ) -> Iterator[BagMessage]:
        step = _STEP_NS
        while True:
            last = start
            try:
                for connection, time_ns, raw in reader.messages(connections, start, stop):
                    last, step = time_ns, _STEP_NS
                    yield BagMessage(connection.topic, connection.msgtype, time_ns, raw)
                return
            # Whatever a damaged file raises in the library, in SQLite or in a decompressor.
            except Exception as error:
                end = reader.end_time if stop is None else min(stop, reader.end_time)
                last = reader.start_time if last is None else last
                self._note(f"{reader.path} is damaged: {excerpt(error, 120)}")
                start = last + step
                step *= 2
                if start >= end:
                    return

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _open(self, path: Path) -> list[Any]:
        if not path.exists():
            raise BagError(f"{path} does not exist")
        if path.is_dir() and (path / _METADATA).is_file():
            try:
                return [self._enter(path)]
            except BagError as error:
                self._note(f"{path} is damaged: {error}; its files are read one by one")
        readers = []
        for file in _list_files(path) if path.is_dir() else [path]:
            try:
                readers.append(self._open_file(file))
            except BagError as error:
                self._note(f"{file} is not read: {error}{_find_cure(file)}")
        if not readers:
            reasons = "; ".join(self.problems) or "it holds no .mcap, .db3 or .bag file"
            raise BagError(f"{path} cannot be read: {reasons}")
        return sorted(readers, key=lambda reader: reader.start_time)

    def _open_file(self, file: Path) -> Any:
        try:
            return self._enter(file)
        except BagError as error:
            reader = self._open_beginning(file) if file.suffix == ".mcap" else None
            if reader is None:
                raise
            self._note(f"{file} is cut off ({error}): read up to its last whole record")
            return reader

    def _open_beginning(self, file: Path) -> Any:
        """Return a reader of as much of an MCAP file as can be read, None where nothing can."""
        ends = list_ends(file)
        reader, first, last = None, 0, len(ends)
        # All of it is likely; else a damaged record ends what can be read.
        middle = last - 1
        while first < last:
            try:
                reader = self._enter(MendedMcap(file, ends[middle]))
                first = middle + 1
            except BagError as error:
                _LOG.debug("%s up to byte %d: %s", file, ends[middle], error)
                last = middle
            middle = (first + last) // 2
        return reader

    def _enter(self, path: Path | MendedMcap) -> Any:
        """Return a reader of rosbags, open."""
        module = import_rosbags("rosbag1" if path.suffix == ".bag" else "rosbag2")
        try:
            return self._stack.enter_context(module.Reader(path))
        # Whatever a damaged file raises in the library, in SQLite or in a decompressor.
        except Exception as error:
            raise BagError(excerpt(error, 120)) from error


def _find_cure(file: Path) -> str:
    cures = {".bag": "'rosbag reindex'", ".db3": "'sqlite3 FILE .recover'"}
    return f"; {cures[file.suffix]} may mend it" if file.suffix in cures else ""


def _list_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a bag in the order in which they were written."""

    def order(path: Path) -> list[Any]:
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]

    yield from sorted((p for p in folder.iterdir() if p.suffix in SUFFIXES), key=order)
