"""The pairs of a video that holds both views, or of two videos."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.pair_geometry import PairGeometry
from stereo_depth_ros.recordings.frame import Frame, Skip
from stereo_depth_ros.recordings.rig import Rig

SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v")

SPLITS = ("auto", "side-by-side", "top-bottom")
"""How one video holds both views, the left one at the left or the top."""

_WIDE, _TALL = 2.2, 1.0
"""Width over height from which a video must be side by side, and below which one above other."""


class VideoSource:
    """The pairs of one video or two; see `stereo_depth_ros.recordings.frame.Source`.

    Parameters
    ----------
    paths
        One, or the left and the right one.
    rig
        What the user says of the cameras.
    split
        One of `SPLITS`, for one video.

    Raises
    ------
    InputError
        When a video cannot be read, or it is not clear how it holds both views.
    """

    is_stream = True

    def __init__(self, paths: Sequence[Path], rig: Rig, split: str = "auto") -> None:
        self._paths = paths
        self._rig = rig
        videos = [_open(path) for path in paths]
        counts = [int(video.get(cv2.CAP_PROP_FRAME_COUNT)) for video in videos]
        rate = videos[0].get(cv2.CAP_PROP_FPS) or 30.0
        width, height = (
            int(videos[0].get(prop))
            for prop in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        for video in videos:
            video.release()
        self._split = "" if len(paths) == 2 else _choose_split(paths[0], width, height, split)
        self._period_ns = 1e9 / rate
        self.expected = max(1, min(counts))
        self.is_metric = bool(rig.calibration)
        self.losses: dict[str, int] = {}
        views = "two videos" if len(paths) == 2 else f"a {self._split} video"
        self.notes = [f"{views} of {width} x {height} px, {rate:g} frames per second", *rig.notes]
        self.identity = {
            "source": {str(path.resolve()): path.stat().st_size for path in paths},
            "split": self._split,
            **rig.identity,
        }

    def __iter__(self) -> Iterator[Frame | Skip]:
        """Yield the pairs in order."""
        videos = [_open(path) for path in self._paths]
        known: dict[tuple[int, int], PairGeometry] = {}
        index = 0
        while True:
            began = time.perf_counter()
            images = [video.read()[1] for video in videos]
            if any(image is None for image in images):
                break
            left, right = self._divide(images)
            name, stamp = f"{index:06d}", round(index * self._period_ns)
            index += 1
            size = left.shape[1], left.shape[0]
            try:
                if left.shape != right.shape:
                    raise InputError(
                        f"the left video is {size[0]} x {size[1]} and the right "
                        f"{right.shape[1]} x {right.shape[0]} px: a pair has one size"
                    )
                if size not in known:
                    known[size] = self._rig.find_geometry(*size)
            except InputError as error:
                yield Skip(name, stamp, stamp, str(error))
                continue
            seconds = time.perf_counter() - began
            yield Frame(name, stamp, stamp, "", left, right, known[size], seconds)
        counts = [int(video.get(cv2.CAP_PROP_FRAME_COUNT)) for video in videos]
        losses = {
            "frames of the longer video": max(counts) - min(counts),
            "frames that do not decode": self.expected - index,
        }
        self.losses = {reason: count for reason, count in losses.items() if count > 0}
        for video in videos:
            video.release()

    def _divide(self, images: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if len(images) == 2:
            views = list(images)
        elif self._split == "side-by-side":
            views = np.split(images[0][:, : images[0].shape[1] // 2 * 2], 2, axis=1)
        else:
            views = np.split(images[0][: images[0].shape[0] // 2 * 2], 2, axis=0)
        left, right = (cv2.cvtColor(view, cv2.COLOR_BGR2RGB) for view in views)
        return left, right


def _open(path: Path) -> cv2.VideoCapture:
    if not path.is_file():
        raise FileNotFoundError(f"video {path} does not exist")
    video = cv2.VideoCapture(str(path))
    if not video.isOpened():
        raise InputError(f"{path} is no video that OpenCV reads; convert it to MP4 or AVI")
    return video


def _choose_split(path: Path, width: int, height: int, split: str) -> str:
    if split != "auto":
        return split
    if width >= _WIDE * height:
        return "side-by-side"
    if width <= _TALL * height:
        return "top-bottom"
    raise InputError(
        f"{path} is {width} x {height} px, which does not tell how it holds both views; say it by "
        "--split side-by-side or --split top-bottom, or give the right view as a second video"
    )
