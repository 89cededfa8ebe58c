"""Results as a bag of rosbag2, in MCAP files that appear one by one.

Workers write the messages of each pair into files of their own; as soon as these fill a part they
become one MCAP file of the bag, so that a killed run loses nothing and none is held in memory.
"""

from __future__ import annotations

import heapq
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from stereo_depth_ros.atomic_file import write_bytes, write_text
from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.output_messages import CAMERA_INFO, INFO_TOPIC, TOPICS, fill_camera_info
from stereo_depth_ros.outputs import Output, make_outputs
from stereo_depth_ros.recordings.bag import Bag, BagError
from stereo_depth_ros.recordings.bag_messages import MessageWriter
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.library import import_rosbags
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.stereo_match import StereoMatch

DEFAULT = ("depth", "disparity", "confidence")

PART_BYTES = 256 << 20
"""Size from which the messages so far become a file of the bag."""

_METADATA = "metadata.yaml"
_VERSION = 8
"""Of the format, which Humble reads as well."""

Entry = tuple[int, int, str, bytes]
"""Time of a message in ns, its place among those of the same time, topic and bytes."""


@dataclass(frozen=True)
class SpoolWriter:
    """Writes the messages of a pair as files in ``folder``; see `FrameWriter`."""

    folder: Path
    outputs: tuple[Output, ...]

    def write(self, job: Job, match: StereoMatch) -> int:
        """Write the messages of one pair."""
        messages = MessageWriter()
        made = make_outputs(match, self.outputs)
        fields = {INFO_TOPIC: (CAMERA_INFO, fill_camera_info(match.camera))}
        for output, values in made.items():
            topic = TOPICS[output]
            fields[topic.name] = topic.type, topic.fill(values, match)
        size = 0
        for place, name in enumerate(list_topics(self.outputs)):
            content = messages.serialize(*fields[name], job.stamp_ns, job.frame_id)
            write_bytes(self.path(job.name, place), content)
            size += len(content)
        return size

    def path(self, name: str, place: int) -> Path:
        """Return the file of the ``place``-th topic of the pair ``name``."""
        return self.folder / f"{name}.{place}.cdr"


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

    def collect(self, records: Sequence[Record]) -> None:
        """Write a part once it is full."""
        self._size += records[-1].size
        if self._size >= PART_BYTES:
            self._write_part(records[self._first :], records[-1].time_ns + 1)
            self._first, self._size = len(records), 0

    def finish(self, records: Sequence[Record]) -> None:
        """Write the last part, and what makes the files a bag."""
        if self._original is not None or len(records) > self._first:
            self._write_part(records[self._first :], None)
        parts = [self._describe(part) for part in range(self._part)]
        write_text(self.result / _METADATA, yaml.safe_dump(_join(parts), sort_keys=False))

    def _name(self, part: int) -> str:
        return f"{self.result.resolve().name}_{part}"

    def _describe(self, part: int) -> dict[str, Any]:
        return yaml.safe_load((self.work / f"{self._name(part)}.yaml").read_text())

    def _write_part(self, records: Sequence[Record], stop_ns: int | None) -> None:
        name = self._name(self._part)
        file, metadata = self.result / f"{name}.mcap", self.work / f"{name}.yaml"
        if not (file.exists() and metadata.exists()):
            folder = self.work / name
            shutil.rmtree(folder, ignore_errors=True)
            self._write_messages(folder, records, stop_ns)
            os.replace(folder / _METADATA, metadata)
            os.replace(folder / f"{name}.mcap", file)
            folder.rmdir()
        for record in records:
            for place in range(len(self._names)):
                self.writer.path(record.name, place).unlink(missing_ok=True)
        self._part += 1
        self._begin = stop_ns

    def _write_messages(self, folder: Path, records: Sequence[Record], stop_ns: int | None) -> None:
        rosbag2 = import_rosbags("rosbag2")
        store = MessageWriter().store
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
            if bag.is_ros1 and not is_known:
                continue
            has_text = bool(connection.msgdef.data) and not bag.is_ros1
            text = {"msgdef": connection.msgdef.data, "rihs01": connection.digest or "-"}
            definition = text if has_text else {"typestore": store}
            if has_text or is_known:
                made[connection.topic] = writer.add_connection(
                    connection.topic, connection.msgtype, **definition
                )
        return made

    def _list_originals(
        self, bag: Bag, topics: Sequence[str], stop_ns: int | None
    ) -> Iterator[Entry]:
        for place, message in enumerate(bag.messages(topics, self._begin, stop_ns)):
            try:
                yield message.time_ns, place, message.topic, bag.to_cdr(message)
            except BagError:
                continue

    def _list_results(self, records: Sequence[Record]) -> Iterator[Entry]:
        for record in records:
            if not record.skipped:
                for place, topic in enumerate(self._names):
                    content = self.writer.path(record.name, place).read_bytes()
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
