"""Results as a bag of rosbag2, in MCAP files that appear one by one.

Workers write the messages of each pair into files of their own; as soon as these fill a part they
become one MCAP file of the bag, so that a killed run loses nothing and none is held in memory.
"""

from __future__ import annotations

import heapq
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.atomic_file import write_text
from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.output_messages import CAMERA_INFO, INFO_TOPIC, TOPICS, fill_camera_info
from stereo_depth_ros.outputs import Output, make_outputs
from stereo_depth_ros.recordings.bag import Bag, BagError
from stereo_depth_ros.recordings.bag_messages import get_messages
from stereo_depth_ros.recordings.frame_files import put, size_of
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.library import import_rosbags
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.stereo_match import StereoMatch

DEFAULT = ("depth", "disparity", "confidence")

PART_BYTES = 256 << 20
"""Size from which the messages so far become a file of the bag."""

_LOG = logging.getLogger(__name__)

_METADATA = "metadata.yaml"
_VERSION = 8
"""Of the format, which Humble reads as well."""

_LENGTH = 8
"""Bytes of the length before each message of a pair."""

Entry = tuple[int, int, str, bytes]
"""Time of a message in ns, its place among those of the same time, topic and bytes."""


@dataclass(frozen=True)
class SpoolWriter:
    """Writes the messages of a pair as a file in ``folder``; see `FrameWriter`."""

    folder: Path
    outputs: tuple[Output, ...]

    def write(self, job: Job, match: StereoMatch) -> int:
        """Write the messages of one pair."""
        messages = get_messages()
        made = make_outputs(match, self.outputs)
        fields = {INFO_TOPIC: (CAMERA_INFO, fill_camera_info(match.camera))}
        for output, values in made.items():
            topic = TOPICS[output]
            fields[topic.name] = topic.type, topic.fill(values, match)
        chunks = []
        for name in list_topics(self.outputs):
            content = messages.serialize(*fields[name], job.stamp_ns, job.frame_id)
            chunks += [len(content).to_bytes(_LENGTH, "little"), content]
        return put(self.find_path(job.name), b"".join(chunks), self.folder.parent / "scratch")

    def find_path(self, name: str) -> Path:
        """Return the file of the pair ``name``."""
        return self.folder / f"{name}.messages"

    def read(self, name: str) -> list[bytes]:
        """Return the messages of the pair ``name``, in the order of `list_topics`."""
        content, place, messages = self.find_path(name).read_bytes(), 0, []
        while place < len(content):
            begin = place + _LENGTH
            place = begin + int.from_bytes(content[place:begin], "little")
            messages.append(content[begin:place])
        return messages


def list_topics(outputs: Sequence[Output]) -> list[str]:
    """Return the relative names of the topics of ``outputs``, that of the camera_info first."""
    return [INFO_TOPIC, *(TOPICS[output].name for output in TOPICS if output in outputs)]


class BagTarget:
    """A bag; see `stereo_depth_ros.recordings.target.Target`.

    Parameters
    ----------
    folder
        Of the bag.
    outputs
        What it is to hold.
    original
        The bag whose other messages are copied into it; None for none.
    """

    def __init__(
        self, folder: Path, outputs: Sequence[Output], original: Path | None = None
    ) -> None:
        import_rosbags("rosbag2")
        self.result = folder
        self.work = folder / ".work"
        self.journal = folder / "frames.jsonl"
        self.report = folder / "report.html"
        self.writer = SpoolWriter(self.work / "spool", tuple(outputs))
        self._names = list_topics(outputs)
        self._original = original
        self._part = 0
        self._first = 0
        self._size = 0
        self._begin: int | None = None

    def check(self, is_metric: bool) -> None:
        """Check that there is a calibration."""
        if not is_metric:
            raise CalibrationError("a bag of depth takes a calibration; give one by --calib")

    def count_whole(self, records: Sequence[Record]) -> int:
        """Count how many of ``records``, from the first, have all their results."""
        part = size = 0
        for count, record in enumerate(records):
            if size >= PART_BYTES:
                part, size = part + 1, 0
            is_written = self._is_written(part)
            path = self.writer.find_path(record.name)
            if not (record.skipped or is_written or size_of(path) == record.size):
                return count
            size += record.size
        return len(records)

    def collect(self, records: Sequence[Record]) -> None:
        """Write a part once it is full and another follows, so that none is empty."""
        if self._size >= PART_BYTES:
            last = len(records) - 1
            self._write_part(records[self._first : last], records[last - 1].time_ns + 1)
            self._first, self._size = last, 0
        self._size += records[-1].size

    def finish(self, records: Sequence[Record]) -> None:
        """Write the last part, and what makes the files a bag."""
        self._write_part(records[self._first :], None)
        parts = [self._describe(part) for part in range(self._part)]
        write_text(self.result / _METADATA, yaml.safe_dump(_join(parts), sort_keys=False))

    def _name(self, part: int) -> str:
        return f"{self.result.resolve().name}_{part}"

    def _is_written(self, part: int) -> bool:
        name = self._name(part)
        files = self.result / f"{name}.mcap", self.work / f"{name}.yaml"
        return all(file.exists() for file in files)

    def _describe(self, part: int) -> dict[str, Any]:
        return yaml.safe_load((self.work / f"{self._name(part)}.yaml").read_text())

    def _write_part(self, records: Sequence[Record], stop_ns: int | None) -> None:
        name = self._name(self._part)
        if not self._is_written(self._part):
            folder = self.work / name
            shutil.rmtree(folder, ignore_errors=True)
            self._write_messages(folder, records, stop_ns)
            with (folder / f"{name}.mcap").open("rb") as file:
                os.fsync(file.fileno())
            os.replace(folder / _METADATA, self.work / f"{name}.yaml")
            os.replace(folder / f"{name}.mcap", self.result / f"{name}.mcap")
            folder.rmdir()
        for record in records:
            self.writer.find_path(record.name).unlink(missing_ok=True)
        self._part += 1
        self._begin = stop_ns

    def _write_messages(self, folder: Path, records: Sequence[Record], stop_ns: int | None) -> None:
        rosbag2 = import_rosbags("rosbag2")
        store = get_messages().store
        plugin = rosbag2.StoragePlugin.MCAP
        with rosbag2.Writer(folder, version=_VERSION, storage_plugin=plugin) as writer:
            kinds = {topic.name: topic.type for topic in TOPICS.values()} | {
                INFO_TOPIC: CAMERA_INFO
            }
            connections = {
                name: writer.add_connection(f"/{name}", kinds[name], typestore=store)
                for name in self._names
            }
            if self._original is None:
                for time_ns, _, topic, content in self._list_results(records):
                    writer.write(connections[topic], time_ns, content)
                return
            with Bag(self._original) as bag:
                connections |= self._add_originals(writer, bag, store)
                others = [topic for topic in connections if topic not in self._names]
                copies = self._list_originals(bag, others, stop_ns)
                for time_ns, _, topic, content in heapq.merge(copies, self._list_results(records)):
                    writer.write(connections[topic], time_ns, content)

    def _add_originals(self, writer: Any, bag: Bag, store: Any) -> dict[str, Any]:
        made = {}
        for connection in bag.connections:
            if connection.topic.strip("/") in self._names:
                continue
            is_known = connection.msgtype in store.types
            has_text = bool(connection.msgdef.data) and not bag.is_ros1
            text = {"msgdef": connection.msgdef.data, "rihs01": connection.digest or "-"}
            definition = text if has_text else {"typestore": store}
            if not has_text and not is_known:
                _LOG.warning("%s is not copied: the bag defines no %s", *connection[1:3])
            else:
                made[connection.topic] = writer.add_connection(
                    connection.topic, connection.msgtype, **definition
                )
        return made

    def _list_originals(
        self, bag: Bag, topics: Sequence[str], stop_ns: int | None
    ) -> Iterator[Entry]:
        warned: set[str] = set()
        for place, message in enumerate(bag.messages(topics, self._begin, stop_ns)):
            try:
                yield message.time_ns, place, message.topic, bag.to_cdr(message)
            except BagError as error:
                if message.topic not in warned:
                    warned.add(message.topic)
                    _LOG.warning("%s", error)

    def _list_results(self, records: Sequence[Record]) -> Iterator[Entry]:
        for record in records:
            if not record.skipped:
                messages = self.writer.read(record.name)
                for place, (topic, content) in enumerate(zip(self._names, messages, strict=True)):
                    # After the messages that they were made of.
                    yield record.time_ns, (1 << 62) + place, topic, content


def _join(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the metadata of the bag of which ``parts`` are those of its files."""
    key = "rosbag2_bagfile_information"
    infos = [part[key] for part in parts]
    filled = [info for info in infos if info["message_count"]] or infos[:1]
    begins = [info["starting_time"]["nanoseconds_since_epoch"] for info in filled]
    ends = [
        begin + info["duration"]["nanoseconds"] for begin, info in zip(begins, filled, strict=True)
    ]
    topics: dict[str, Any] = {}
    for info in infos:
        for entry in info["topics_with_message_count"]:
            known = topics.setdefault(
                entry["topic_metadata"]["name"], {**entry, "message_count": 0}
            )
            known["message_count"] += entry["message_count"]
    return {
        key: {
            **infos[0],
            "relative_file_paths": [path for i in infos for path in i["relative_file_paths"]],
            "duration": {"nanoseconds": max(ends) - min(begins)},
            "starting_time": {"nanoseconds_since_epoch": min(begins)},
            "message_count": sum(info["message_count"] for info in infos),
            "topics_with_message_count": list(topics.values()),
            "files": [file for info in infos for file in info["files"]],
        }
    }
