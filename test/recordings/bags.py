"""Bags written by rosbags, with damage where it is wanted."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stereo_depth_ros.camera import StereoCamera

START_NS = 1_700_000_000_000_000_000
PERIOD_NS = 50_000_000
CAMERA = StereoCamera(160, 120, 130.0, 130.0, 79.5, 59.5, 79.5, 0.12)
TOPICS = {"left": "/cam/left/image_rect", "right": "/cam/right/image_rect"}
INFOS = {"left": "/cam/left/camera_info", "right": "/cam/right/camera_info"}


@dataclass(frozen=True)
class Event:
    """One message of a recording; ``value`` is an image, its bytes if compressed, or None."""

    topic: str
    side: str
    stamp_ns: int
    time_ns: int
    value: Any = None
    changes: dict[str, Any] = field(default_factory=dict)


def list_events(
    views: Iterable[tuple[np.ndarray, np.ndarray]],
    start_ns: int = START_NS,
    has_infos: bool = True,
) -> list[Event]:
    """Return a pair every 50 ms, each after its camera_infos, received 1 ms after its stamp."""
    events = []
    for index, pair in enumerate(views):
        stamp = start_ns + index * PERIOD_NS
        time_ns = stamp + 1_000_000
        if has_infos:
            events += [Event(INFOS[side], side, stamp, time_ns) for side in INFOS]
        events += [
            Event(TOPICS[side], side, stamp, time_ns + place, image)
            for place, (side, image) in enumerate(zip(TOPICS, pair, strict=True), 1)
        ]
    return events


class Messages:
    """Makes messages of events with the types of rosbags."""

    def __init__(self, is_ros1: bool = False) -> None:
        from rosbags.typesys import Stores, get_typestore

        self.is_ros1 = is_ros1
        self.store = get_typestore(Stores.ROS1_NOETIC if is_ros1 else Stores.ROS2_JAZZY)

    def serialize(self, event: Event) -> tuple[str, bytes]:
        """Return the type and the bytes of an event's message."""
        message = self.make(event)
        kind = message.__msgtype__
        if self.is_ros1:
            return kind, bytes(self.store.serialize_ros1(message, kind))
        return kind, bytes(self.store.serialize_cdr(message, kind))

    def make(self, event: Event) -> Any:
        """Return the message of an event."""
        types = self.store.types
        stamp = types["builtin_interfaces/msg/Time"](*divmod(event.stamp_ns, 1_000_000_000))
        sequence = {"seq": 0} if self.is_ros1 else {}
        header = types["std_msgs/msg/Header"](**sequence, stamp=stamp, frame_id=f"{event.side}_cam")
        if event.value is None:
            return self._make_info(header, event)
        if isinstance(event.value, bytes):
            data = np.frombuffer(event.value, np.uint8)
            return types["sensor_msgs/msg/CompressedImage"](header, "rgb8; png compressed", data)
        image = event.value
        height, width = image.shape[:2]
        encoding = {(np.uint8, 3): "rgb8", (np.uint16, 2): "mono16"}[image.dtype.type, image.ndim]
        data = np.ascontiguousarray(image).reshape(-1).view(np.uint8)
        step = data.size // height
        return types["sensor_msgs/msg/Image"](header, height, width, encoding, 0, step, data)

    def _make_info(self, header: Any, event: Event) -> Any:
        tx = -CAMERA.fx * CAMERA.baseline if event.side == "right" else 0.0
        p = CAMERA.p.copy()
        p[0, 3] = tx
        values = {
            "d": np.zeros(5),
            "k": CAMERA.p[:, :3].ravel(),
            "r": np.eye(3).ravel(),
            "p": p.ravel(),
        } | event.changes
        size = {"height": CAMERA.height, "width": CAMERA.width}
        size = {name: values.pop(name, default) for name, default in size.items()}
        if self.is_ros1:
            values = {name.upper(): value for name, value in values.items()}
        roi = self.store.types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
        return self.store.types["sensor_msgs/msg/CameraInfo"](
            header=header,
            distortion_model="plumb_bob",
            binning_x=0,
            binning_y=0,
            roi=roi,
            **size,
            **values,
        )


def write_bag(path: Path, events: Iterable[Event], form: str = "mcap") -> Path:
    """Write a bag of ROS 2: "mcap", "mcap-zstd" (its chunks), "sqlite3", or with "-message"/"-file"
    compressed by rosbag2."""
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

    messages = Messages()
    plugin = StoragePlugin.MCAP if form.startswith("mcap") else StoragePlugin.SQLITE3
    writer = Writer(path, version=9 if form.startswith("mcap") else 8, storage_plugin=plugin)
    mode = {
        "zstd": CompressionMode.STORAGE,
        "message": CompressionMode.MESSAGE,
        "file": CompressionMode.FILE,
    }.get(form.partition("-")[2])
    if mode is not None:
        writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        connections: dict[str, Any] = {}
        for event in events:
            kind, raw = messages.serialize(event)
            if event.topic not in connections:
                connections[event.topic] = writer.add_connection(
                    event.topic, kind, typestore=messages.store
                )
            writer.write(connections[event.topic], event.time_ns, raw)
    return path


def write_ros1_bag(path: Path, events: Iterable[Event]) -> Path:
    """Write a bag of ROS 1, its chunks compressed by lz4."""
    from rosbags.rosbag1 import Writer

    messages = Messages(is_ros1=True)
    writer = Writer(path)
    writer.set_compression(writer.CompressionFormat.LZ4)
    with writer:
        connections: dict[str, Any] = {}
        for event in events:
            kind, raw = messages.serialize(event)
            if event.topic not in connections:
                connections[event.topic] = writer.add_connection(
                    event.topic, kind, typestore=messages.store
                )
            writer.write(connections[event.topic], event.time_ns, raw)
    return path


def split_sqlite(first: Path, events: list[Event], parts: int) -> Path:
    """Write a bag of ``parts`` sqlite3 files, as rosbag2 splits them."""
    import yaml

    key = "rosbag2_bagfile_information"
    size = -(-len(events) // parts)
    infos = []
    for part in range(parts):
        folder = first.parent / f"{first.name}_{part}"
        write_bag(folder, events[part * size : (part + 1) * size], "sqlite3")
        infos.append(yaml.safe_load((folder / "metadata.yaml").read_text())[key])
    first.mkdir()
    for part in range(parts):
        folder = first.parent / f"{first.name}_{part}"
        shutil.move(folder / f"{folder.name}.db3", first / f"{folder.name}.db3")
        shutil.rmtree(folder)
    topics: dict[str, Any] = {}
    for info in infos:
        for entry in info["topics_with_message_count"]:
            topics.setdefault(entry["topic_metadata"]["name"], entry)
    merged = infos[0] | {
        "relative_file_paths": [path for info in infos for path in info["relative_file_paths"]],
        "files": [file for info in infos for file in info["files"]],
        "message_count": len(events),
        "topics_with_message_count": list(topics.values()),
    }
    (first / "metadata.yaml").write_text(yaml.safe_dump({key: merged}))
    return first


def read_bag(path: Path) -> dict[str, list[tuple[int, Any]]]:
    """Return time and message of all in a bag, by topic."""
    from rosbags.highlevel import AnyReader

    content: dict[str, list[tuple[int, Any]]] = {}
    with AnyReader([path]) as reader:
        for connection, time_ns, raw in reader.messages():
            message = reader.deserialize(raw, connection.msgtype)
            content.setdefault(connection.topic, []).append((time_ns, message))
    return content


def read_raw(path: Path) -> dict[str, list[tuple[int, bytes]]]:
    """Return time and bytes of all messages in a bag, by topic."""
    from rosbags.rosbag2 import Reader

    content: dict[str, list[tuple[int, bytes]]] = {}
    with Reader(path) as reader:
        for connection, time_ns, raw in reader.messages():
            content.setdefault(connection.topic, []).append((time_ns, bytes(raw)))
    return content


def floats(message: Any) -> np.ndarray:
    """Return the values of a 32FC1 image."""
    assert message.encoding == "32FC1"
    return message.data.view(np.float32).reshape(message.height, message.width)


def error_of(depth: np.ndarray, truth: np.ndarray) -> float:
    """Return the median relative error where ``depth`` is finite, which must be most of it."""
    known = np.isfinite(depth) & np.isfinite(truth)
    assert known.mean() > 0.4
    return float(np.median(np.abs(depth[known] - truth[known]) / truth[known]))


def compress_lz4(bag: Path) -> Path:
    """Compress the chunks of an MCAP bag by lz4, in which rosbags does not write."""
    import struct

    import lz4.frame
    from rosbags.rosbag2.storage_mcap import McapReader

    (file,) = bag.glob("*.mcap")
    reader = McapReader(file)
    reader.open()
    content = file.read_bytes()
    out = bytearray(content[: reader.chunks[0].chunk_start_offset])
    for chunk in reader.chunks:
        begin = chunk.chunk_start_offset + 9 + 40 + len(chunk.compression)
        data = lz4.frame.compress(content[begin : begin + chunk.compressed_size])
        record = struct.pack(
            "<QQQI", chunk.message_start_time, chunk.message_end_time, chunk.uncompressed_size, 0
        )
        record += struct.pack("<I", 3) + b"lz4" + struct.pack("<Q", len(data)) + data
        out += b"\x06" + struct.pack("<Q", len(record)) + record
    reader.close()
    # An end without summary, which readers make up for by reading all of it.
    out += b"\x0f" + struct.pack("<QI", 4, 0)
    out += b"\x02" + struct.pack("<QQQI", 20, 0, 0, 0) + b"\x89MCAP0\r\n"
    file.write_bytes(out)
    return bag
