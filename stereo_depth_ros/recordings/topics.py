"""Which topics of a bag are the left and the right camera: by their types and names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from stereo_depth_ros.errors import InputError

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED = "sensor_msgs/msg/CompressedImage"
INFO = "sensor_msgs/msg/CameraInfo"

_SIDES = (
    ("left", "right"),
    ("infra1", "infra2"),
    ("cam0", "cam1"),
    ("camera0", "camera1"),
    ("cam1", "cam2"),
    ("cam_0", "cam_1"),
    ("camera_0", "camera_1"),
)
"""What names of topics call the two sides, the clearest first."""

_MAX_LISTED = 12


class TopicError(InputError):
    """No topics to work with; the text lists what the bag holds, and names the options."""


@dataclass(frozen=True)
class StereoTopics:
    """The topics of a pair; an info is None where the bag has none of it.

    ``guessed`` names the sides that no option decided.
    """

    left: str
    right: str
    left_info: str | None
    right_info: str | None
    guessed: tuple[str, ...] = ()

    @property
    def images(self) -> tuple[str, str]:
        """Those of the images, (left, right)."""
        return self.left, self.right


def choose_topics(
    types: Mapping[str, str],
    left: str | None = None,
    right: str | None = None,
    left_info: str | None = None,
    right_info: str | None = None,
) -> StereoTopics:
    """Choose the topics of the pair.

    Parameters
    ----------
    types
        The type of every topic of the bag.
    left, right, left_info, right_info
        What the user says; what is None is guessed.

    Raises
    ------
    TopicError
        When one that is named is not in the bag, when there is no pair, or more than one.
    """
    named = {
        "left": (left, (IMAGE, COMPRESSED)),
        "right": (right, (IMAGE, COMPRESSED)),
        "left-info": (left_info, (INFO,)),
        "right-info": (right_info, (INFO,)),
    }
    for option, (topic, kinds) in named.items():
        if topic is not None and types.get(topic) not in kinds:
            is_there = f"is {types[topic]}, not" if topic in types else "is not in the bag; it has"
            raise TopicError(f"--{option} {topic} {is_there} {_list(types, kinds)}")
    chosen_left, chosen_right = _choose_images(types, left, right)
    infos = [
        given or _find_info(types, image)
        for given, image in ((left_info, chosen_left), (right_info, chosen_right))
    ]
    guessed = tuple(option for option, (topic, _) in named.items() if topic is None)
    return StereoTopics(chosen_left, chosen_right, infos[0], infos[1], guessed)


def _choose_images(
    types: Mapping[str, str], left: str | None, right: str | None
) -> tuple[str, str]:
    pairs = [
        (rank, a, b)
        for rank, a, b in _list_pairs(types)
        if left in (None, a) and right in (None, b)
    ]
    if left is not None and right is not None:
        return left, right
    if not pairs:
        raise TopicError(
            f"no pair of image topics by their names; the bag has {_list(types)}: name them by "
            "--left and --right"
        )
    best = min(rank for rank, _, _ in pairs)
    choices = [(a, b) for rank, a, b in pairs if rank == best]
    if len(choices) > 1:
        listed = "; ".join(f"{a} and {b}" for a, b in choices[:_MAX_LISTED])
        raise TopicError(f"more than one pair of image topics: {listed}; name one by --left")
    return choices[0]


def _list_pairs(types: Mapping[str, str]) -> Iterator[tuple[tuple[int, ...], str, str]]:
    """Yield a rank, the lowest being the best, and the topics of every pair."""
    images = {topic for topic, kind in types.items() if kind in (IMAGE, COMPRESSED)}
    for topic in sorted(images):
        for place, (left, right) in enumerate(_SIDES):
            partner = re.sub(rf"(?<![a-z0-9]){left}(?![a-z0-9])", right, topic)
            if partner == topic or types.get(partner) != types[topic]:
                continue
            parts = set(re.split("[/_]", topic))
            is_result = not parts.isdisjoint(("depth", "disparity", "confidence", "theora"))
            is_raw = parts.isdisjoint(("rect", "rectified"))
            is_compressed = types[topic] == COMPRESSED
            has_no_info = _find_info(types, topic) is None
            yield (is_result, has_no_info, is_raw, is_compressed, place), topic, partner
            break


def _find_info(types: Mapping[str, str], image: str) -> str | None:
    """Return the camera_info beside an image topic, or the nearest above it."""
    folder = image
    while "/" in folder:
        folder = folder.rpartition("/")[0]
        if types.get(f"{folder}/camera_info") == INFO:
            return f"{folder}/camera_info"
    return None


def _list(types: Mapping[str, str], kinds: tuple[str, ...] = (IMAGE, COMPRESSED)) -> str:
    names = sorted(topic for topic, kind in types.items() if kind in kinds)
    if not names:
        return f"no topic of {' or '.join(kinds)}"
    more = f" and {len(names) - _MAX_LISTED} more" if len(names) > _MAX_LISTED else ""
    return ", ".join(names[:_MAX_LISTED]) + more
