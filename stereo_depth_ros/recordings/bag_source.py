"""The pairs of a bag, paired, calibrated and decoded as the node does it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.decoding.levels import Levels
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.image_messages import decode_pair, read_image_size
from stereo_depth_ros.info_geometry import InfoGeometry, RecentInfos, is_raw_topic
from stereo_depth_ros.pair_geometry import PairGeometry
from stereo_depth_ros.recordings.bag import Bag, BagError, BagMessage
from stereo_depth_ros.recordings.frame import Frame, Skip
from stereo_depth_ros.recordings.rig import Rig
from stereo_depth_ros.recordings.topics import StereoTopics, TopicError, choose_topics
from stereo_depth_ros.stamps import LEFT, RIGHT
from stereo_depth_ros.synchronizer import Pair, PairSynchronizer

_NO_INFO = (
    "no camera_info: the bag holds none of {}; name the topic by --left-info and --right-info, or "
    "give the calibration by --calib"
)


@dataclass(frozen=True)
class _Image:
    """A message, when it was received, and its stamp."""

    message: Any
    time_ns: int
    stamp_ns: int


class BagSource:
    """The pairs of a bag; see `stereo_depth_ros.recordings.frame.Source`.

    Parameters
    ----------
    path
        The folder or the file.
    rig
        What the user says of the cameras.
    topics
        As the arguments of `choose_topics` by name.

    Raises
    ------
    BagError, TopicError
        When it cannot be read, or holds no pair.
    """

    is_stream = True
    is_metric = True  # without camera_info or file there is no pair

    def __init__(self, path: Path, rig: Rig, topics: dict[str, str | None]) -> None:
        self.path = path
        self._rig = rig
        with Bag(path) as bag:
            try:
                self.topics = choose_topics(bag.types, **topics)
            except TopicError as error:
                # What is missing may have been in what is damaged.
                raise TopicError("; ".join([str(error), *bag.problems])) from error
            self.expected = min(bag.counts[topic] for topic in self.topics.images)
            self.types = bag.types
            problems = list(bag.problems)
        self.losses: dict[str, int] = {}
        self.notes = [*_describe_topics(self.topics, bool(rig.calibration)), *problems]
        self.identity = {
            "source": {"bag": str(path.resolve()), "files": _list_sizes(path)},
            "topics": [*self.topics.images, self.topics.left_info, self.topics.right_info],
            **rig.identity,
        }

    def __iter__(self) -> Iterator[Frame | Skip]:
        """Yield the pairs in order."""
        losses: Counter[str] = Counter()
        synchronizer: PairSynchronizer[_Image] = PairSynchronizer()
        decoder = _Decoder(self._rig, self.topics)
        count = 0
        with Bag(self.path) as bag:
            infos = self._look_ahead(bag)
            for side, message, fields in self._read(bag, losses):
                if side is None:
                    for one, topic in enumerate((self.topics.left_info, self.topics.right_info)):
                        if message.topic == topic:
                            infos.add(one, fields)
                    continue
                image = _Image(fields, message.time_ns, _stamp_ns(fields))
                pair = synchronizer.add(side, image.stamp_ns, image)
                if pair is not None:
                    both = infos.find(pair.left.message, pair.right.message)
                    yield decoder.decode(f"{count:06d}", pair, both, message.time_ns)
                    count += 1
            losses.update(dict.fromkeys(bag.problems, 1))
        received = sum(self._received)
        partnerless = received - 2 * synchronizer.paired - synchronizer.stale
        losses["images without a partner"] = partnerless
        losses["images with a stamp that came before"] = synchronizer.stale
        losses["jumps of the clock"] = synchronizer.jumps
        self.losses = {reason: number for reason, number in losses.items() if number}

    def _look_ahead(self, bag: Bag) -> RecentInfos:
        """Return the first whole camera_info of each side, for the pairs that come before it."""
        infos = RecentInfos()
        for side, topic in enumerate((self.topics.left_info, self.topics.right_info)):
            for message in bag.messages({topic} if topic else ()):
                try:
                    infos.add(side, bag.deserialize(message))
                except BagError:
                    continue  # counted where the pairs are read
                break
        return infos

    def _read(self, bag: Bag, losses: Counter[str]) -> Iterator[tuple[int | None, BagMessage, Any]]:
        """Yield side (None of a camera_info), message and fields of what is whole."""
        infos = {name for name in (self.topics.left_info, self.topics.right_info) if name}
        sides = {self.topics.left: LEFT, self.topics.right: RIGHT}
        self._received = [0, 0]
        for message in bag.messages({*sides, *infos}):
            side = sides.get(message.topic)
            try:
                fields = bag.deserialize(message)
            except BagError as error:
                losses[f"{message.topic}: {error}"] += 1
                continue
            if side is not None:
                self._received[side] += 1
            yield side, message, fields


class _Decoder:
    """From pairs of messages to frames, as the node's processor does it."""

    def __init__(self, rig: Rig, topics: StereoTopics) -> None:
        self._rig = rig
        self._topics = topics
        self._is_raw = any(map(is_raw_topic, topics.images))
        self._levels = Levels()
        self._camera: Any = None
        self._of_file: dict[tuple[int, int], PairGeometry] = {}
        self._of_infos = InfoGeometry(
            (topics.left_info or "left camera_info", topics.right_info or "right camera_info"),
            rig.baseline,
            rig.rectify,
            self._is_raw,
            lambda left, right: None,
            "--baseline",
        )

    def decode(
        self, name: str, pair: Pair[_Image], infos: tuple[Any, Any], time_ns: int
    ) -> Frame | Skip:
        """Return the frame of a pair, or why it gives none."""
        left, right = pair.left.message, pair.right.message
        began = time.perf_counter()
        try:
            geometry = self._find_geometry(left, right, infos)
            if geometry.camera is not self._camera:
                self._camera = geometry.camera
                self._levels.reset()
            views = decode_pair(left, right, self._levels)
        except (CalibrationError, FrameError) as error:
            return Skip(name, pair.left.stamp_ns, time_ns, str(error))
        seconds = time.perf_counter() - began
        frame_id = left.header.frame_id
        return Frame(name, pair.left.stamp_ns, time_ns, frame_id, *views, geometry, seconds)

    def _find_geometry(self, left: Any, right: Any, infos: tuple[Any, Any]) -> PairGeometry:
        sizes = read_image_size(left, "left"), read_image_size(right, "right")
        if not self._rig.calibration:
            for info, topic, side in zip(
                infos,
                (self._topics.left_info, self._topics.right_info),
                ("left", "right"),
                strict=True,
            ):
                if info is None:
                    raise CalibrationError(_NO_INFO.format(topic or f"the {side} camera"))
            camera, maps = self._of_infos.get(*infos, sizes)
            return PairGeometry(camera, maps)
        if sizes[0] not in self._of_file:
            self._of_file[sizes[0]] = self._rig.find_geometry(*sizes[0], is_raw=self._is_raw)
        return self._of_file[sizes[0]]


def _stamp_ns(message: Any) -> int:
    return message.header.stamp.sec * 1_000_000_000 + message.header.stamp.nanosec


def _describe_topics(topics: StereoTopics, has_calibration: bool) -> list[str]:
    lines = []
    named: dict[str, str | None] = {"left": topics.left, "right": topics.right}
    if not has_calibration:
        named |= {"left-info": topics.left_info, "right-info": topics.right_info}
    for option, topic in named.items():
        guess = f" (guessed; --{option} decides)" if option in topics.guessed else ""
        lines.append(f"{option}: {topic or 'none in the bag'}{guess}")
    return lines


def _list_sizes(path: Path) -> dict[str, int]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.stat().st_size for file in files if file.is_file()}
