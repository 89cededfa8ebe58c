"""Which topics are taken for the two cameras."""

from __future__ import annotations

import re

import pytest
import yaml

from stereo_depth_ros.recordings.topics import (
    COMPRESSED,
    IMAGE,
    INFO,
    StereoTopics,
    TopicError,
    choose_topics,
)
from stereo_depth_ros.share import share_directory

SIDES = ("left", "right")
PRESETS = sorted((share_directory() / "config" / "cameras").glob("*.yaml"))


def bag(*images: str, kind: str = IMAGE, infos: tuple[str, ...] = ()) -> dict[str, str]:
    return dict.fromkeys(images, kind) | dict.fromkeys(infos, INFO)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda path: path.stem)
def test_topics_of_every_camera_preset_are_recognised(preset):
    topics = yaml.safe_load(preset.read_text())["topics"]
    types = {topics[f"{s}_image"]: IMAGE for s in ("left", "right")}
    types |= {topics[f"{s}_info"]: INFO for s in ("left", "right")}
    types |= {"/tf": "tf2_msgs/msg/TFMessage", "/other/image": IMAGE}

    chosen = choose_topics(types)

    assert chosen == StereoTopics(
        topics["left_image"],
        topics["right_image"],
        topics["left_info"],
        topics["right_info"],
        ("left", "right", "left-info", "right-info"),
    )


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("/cam0/image_raw", "/cam1/image_raw"),
        ("/camera_left/image", "/camera_right/image"),
        ("/stereo/left/image_rect/compressed", "/stereo/right/image_rect/compressed"),
    ],
)
def test_other_names_are_recognised_too(left, right):
    chosen = choose_topics(bag(left, right, "/rear/image"))
    assert chosen.images == (left, right)
    assert (chosen.left_info, chosen.right_info) == (None, None)


def test_rectified_before_raw_and_raw_bytes_before_compressed():
    types = bag(
        "/s/left/image_raw", "/s/right/image_raw", "/s/left/image_rect", "/s/right/image_rect"
    )
    types |= bag("/s/left/image_rect/compressed", "/s/right/image_rect/compressed", kind=COMPRESSED)
    types |= bag("/s/left/depth/image_rect", "/s/right/depth/image_rect")

    assert choose_topics(types).images == ("/s/left/image_rect", "/s/right/image_rect")


def test_what_the_user_names_decides():
    types = bag("/a/left/image", "/a/right/image", "/b/left/image", "/b/right/image", "/x", "/y")

    assert choose_topics(types, left="/b/left/image").images == ("/b/left/image", "/b/right/image")
    chosen = choose_topics(types | {"/i": INFO, "/j": INFO}, "/x", "/y", "/i", "/j")
    assert chosen == StereoTopics("/x", "/y", "/i", "/j", ())


TWO = bag(*(f"/{camera}/{side}/image" for camera in "ab" for side in SIDES))


@pytest.mark.parametrize(
    ("types", "options", "text"),
    [
        (TWO, {}, "more than one pair of image topics: /a/left/image and /a/right/image; /b/left"),
        (bag("/front", "/rear"), {}, "the bag has /front, /rear: name them by --left and --right"),
        ({"/scan": "sensor_msgs/msg/LaserScan"}, {}, f"the bag has no topic of {IMAGE}"),
        (bag("/l", "/r"), {"left": "/m"}, "--left /m is not in the bag; it has /l, /r"),
        ({"/l": INFO, "/r": IMAGE}, {"left": "/l"}, f"--left /l is {INFO}, not /r"),
    ],
)
def test_what_cannot_be_chosen_is_explained(types, options, text):
    with pytest.raises(TopicError, match=re.escape(text)):
        choose_topics(types, **options)
