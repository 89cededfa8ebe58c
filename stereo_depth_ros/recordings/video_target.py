"""Results as a video of coloured depth, on one scale from its first frame to its last."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.colour_scale import ColourScale, scale_depth, scale_disparity
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.outputs import to_millimetres
from stereo_depth_ros.recordings.array_files import (
    KITTI_SCALE,
    encode_png,
    mask_disparity,
    to_kitti,
)
from stereo_depth_ros.recordings.frame_files import count_whole, put, size_of
from stereo_depth_ros.recordings.job import Job
from stereo_depth_ros.recordings.record import Record
from stereo_depth_ros.stereo_match import StereoMatch

SUFFIXES = (".mp4", ".avi", ".mkv")

_CODECS = {".mp4": "mp4v", ".avi": "MJPG", ".mkv": "mp4v"}
_MIN_FREE_BYTES = 1 << 16
"""Left on the disk once a video is whole."""
_MIN_RATE, _MAX_RATE = 1.0, 240.0


@dataclass(frozen=True)
class MapWriter:
    """Writes depth in mm, or disparity, as a PNG in ``folder``; see `FrameWriter`."""

    folder: Path

    def write(self, job: Job, match: StereoMatch) -> int:
        """Write the map of one pair."""
        kind = "depth" if job.is_metric else "disparity"
        values = to_millimetres(match.depth) if job.is_metric else to_kitti(mask_disparity(match))
        path = self.folder / f"{job.name}.{kind}.png"
        return put(path, encode_png(values), self.folder.parent / "scratch")


class VideoTarget:
    """A video; see `stereo_depth_ros.recordings.target.Target`."""

    def __init__(self, file: Path) -> None:
        self.result = file
        self.work = file.parent / f".{file.name}.work"
        self.journal = file.with_suffix(".frames.jsonl")
        self.report = file.with_suffix(".report.html")
        self.writer = MapWriter(self.work / "maps")

    def check(self, is_metric: bool) -> None:
        """Check nothing, as disparity has colours too."""

    def count_whole(self, records: Sequence[Record]) -> int:
        """Count how many of ``records``, from the first, have all their results."""
        return count_whole(records, lambda record: size_of(self._find_map(record.name)))

    def collect(self, records: Sequence[Record]) -> None:
        """Do nothing, as the scale is known at the end."""

    def finish(self, records: Sequence[Record]) -> None:
        """Colour the maps, and write the video."""
        done = [record for record in records if not record.skipped]
        files = [self._find_map(record.name) for record in done]
        is_metric = files[0].name.endswith(".depth.png")
        scale = _find_scale(done, is_metric)
        aside = self.work / self.result.name
        first = cv2.imread(str(files[0]), cv2.IMREAD_UNCHANGED)
        size = first.shape[1] // 2 * 2, first.shape[0] // 2 * 2
        codec = cv2.VideoWriter_fourcc(*_CODECS[self.result.suffix.lower()])
        video = cv2.VideoWriter(str(aside), codec, _find_rate(done), size)
        if not video.isOpened():
            raise InputError(f"OpenCV writes no {self.result.suffix} here; name a .avi file")
        for file in files:
            values = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
            picture = _paint(values, scale, 1000.0 if is_metric else KITTI_SCALE)
            picture = picture[: size[1], : size[0]]
            if picture.shape[1::-1] != size:
                picture = cv2.resize(picture, size)
            video.write(np.ascontiguousarray(picture[..., ::-1]))
        video.release()
        # OpenCV tells nothing of a full disk.
        if shutil.disk_usage(self.work).free < _MIN_FREE_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.replace(aside, self.result)

    def _find_map(self, name: str) -> Path:
        path = self.writer.folder / f"{name}.depth.png"
        return path if path.exists() else path.with_name(f"{name}.disparity.png")


def _paint(values: np.ndarray, scale: ColourScale, unit: float) -> np.ndarray:
    return scale.paint(np.where(values > 0, values / np.float32(unit), np.float32(np.nan)))


def _find_scale(records: Sequence[Record], is_metric: bool) -> ColourScale:
    """Return one scale for all pairs."""
    limits = [limit for r in records if r.high for limit in (r.low, r.high)]
    values = np.array(limits or [0.0, 1.0], np.float32)
    return scale_depth(values) if is_metric else scale_disparity(values)


def _find_rate(records: Sequence[Record]) -> float:
    """Return the frames per second at which the video lasts as long as the recording."""
    steps = np.diff([record.stamp_ns for record in records])
    steps = steps[steps > 0]
    if not steps.size:
        return 10.0
    return float(np.clip(1e9 / np.median(steps), _MIN_RATE, _MAX_RATE))
