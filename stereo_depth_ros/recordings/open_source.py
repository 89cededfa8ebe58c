"""Which kind of recording the user names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.recordings.bag import SUFFIXES as BAGS
from stereo_depth_ros.recordings.bag import is_bag
from stereo_depth_ros.recordings.bag_source import BagSource
from stereo_depth_ros.recordings.file_source import (
    FileSource,
    list_dataset,
    pair_folders,
    read_list,
)
from stereo_depth_ros.recordings.frame import Source
from stereo_depth_ros.recordings.rig import Rig
from stereo_depth_ros.recordings.video_source import SUFFIXES as VIDEOS
from stereo_depth_ros.recordings.video_source import VideoSource

_LISTS = (".txt", ".csv", ".lst")


def open_source(
    names: Sequence[str],
    rig: Rig,
    topics: dict[str, str | None] | None = None,
    layout: str | None = None,
    split: str = "auto",
) -> Source:
    """Open a recording.

    Parameters
    ----------
    names
        One of a bag, a list, a dataset or a video, or those of the left and the right view.
    rig
        What the user says of the cameras.
    topics
        Of a bag, as the arguments of `stereo_depth_ros.recordings.topics.choose_topics` by name.
    layout
        Of a dataset, one of `stereo_depth_ros.evaluation.datasets.LAYOUTS`.
    split
        Of one video, one of `stereo_depth_ros.recordings.video_source.SPLITS`.

    Raises
    ------
    InputError
        For what is no recording, and for an option that does nothing to one of its kind.
    FileNotFoundError
        For what is not there.
    """
    paths = [Path(name) for name in names]
    are_videos = not layout and all(path.suffix.lower() in VIDEOS for path in paths)
    if len(paths) == 1 and not paths[0].exists():
        raise FileNotFoundError(f"{paths[0]} does not exist")
    is_one_bag = not layout and not are_videos and len(paths) == 1 and is_bag(paths[0])
    named = [f"--{name.replace('_', '-')}" for name, topic in (topics or {}).items() if topic]
    if named and not is_one_bag:
        raise InputError(f"{named[0]} names a topic of a bag, and SOURCE is none; leave it out")
    if split != "auto" and not (are_videos and len(paths) == 1):
        raise InputError("--split divides one video, and SOURCE is none; leave it out")
    if layout:
        if len(paths) != 1:
            raise InputError("--layout takes one SOURCE, the folder of the dataset")
        return FileSource(list_dataset(paths[0], layout), rig)
    if are_videos:
        return VideoSource(paths, rig, split)
    if len(paths) == 2:
        pairs, missing = pair_folders(*names)
        return FileSource(pairs, rig, missing)
    path = paths[0]
    if is_one_bag:
        return BagSource(path, rig, topics or {})
    if path.is_file() and path.suffix.lower() in _LISTS:
        return FileSource(read_list(path), rig)
    raise InputError(
        f"{path} is no recording that can be read: give a bag ({', '.join(BAGS)} or their folder), "
        f"a video ({', '.join(VIDEOS)}), a list ({', '.join(_LISTS)}) of pairs, a dataset with "
        "--layout, or two folders of images"
    )
