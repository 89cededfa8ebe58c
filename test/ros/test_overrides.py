"""Parameter files and names that reach nothing are named; those that do are not."""

from __future__ import annotations

import pytest

from stereo_depth_ros.ros import overrides

FRONT = "/front/stereo_depth_node"
ROOT = "/stereo_depth_node"


def lines(tmp_path, content: str, node_name: str) -> list[str]:
    file = tmp_path / "own.yaml"
    file.write_text(content)
    return overrides.unused_files(["node", "--ros-args", "--params-file", str(file)], node_name)


def keyed(key: str) -> str:
    return f"{key}:\n  ros__parameters:\n    max_depth: 7.0\n"


@pytest.mark.parametrize(
    ("key", "node_name", "is_used"),
    [
        ("stereo_depth_node", ROOT, True),
        ("/stereo_depth_node", ROOT, True),
        ("stereo_depth_node", FRONT, False),
        ("/front/stereo_depth_node", FRONT, True),
        ("front/stereo_depth_node", FRONT, True),
        ("/front/stereo_depth_node", "/rear/stereo_depth_node", False),
        ("/front/stereo_depth_node", ROOT, False),
        ("/**", FRONT, True),
        ("/**", ROOT, True),
        ("/*", ROOT, True),
        ("/*", FRONT, False),
        ("/*/stereo_depth_node", FRONT, True),
        ("/**/stereo_depth_node", ROOT, True),
        ("/**/stereo_depth_node", "/a/b/stereo_depth_node", True),
        ("/front/**", FRONT, True),
        ("stereo_depth", ROOT, False),
    ],
)
def test_a_file_is_named_where_its_key_is_not_the_nodes(tmp_path, key, node_name, is_used):
    said = lines(tmp_path, keyed(key), node_name)
    assert (said == []) is is_used
    if not is_used:
        assert "own.yaml sets nothing here" in said[0]
        assert f"({key})" in said[0]
        assert f"'{node_name}:'" in said[0]


def test_nested_keys_are_joined_and_one_that_fits_is_enough(tmp_path):
    nested = "front:\n  stereo_depth_node:\n    ros__parameters: {max_depth: 7.0}\n"
    assert lines(tmp_path, nested, FRONT) == []
    assert "(front/stereo_depth_node)" in lines(tmp_path, nested, ROOT)[0]
    assert lines(tmp_path, keyed("/driver") + keyed("/**"), FRONT) == []


@pytest.mark.parametrize("content", ["", "a: [1", "- 1\n", "text", "a: {b: 1}"])
def test_what_is_no_parameter_file_is_left_to_rcl(tmp_path, content):
    assert lines(tmp_path, content, FRONT) == []


def test_a_thousand_keys_are_cut_short(tmp_path):
    said = lines(tmp_path, "".join(keyed(f"/node_{n}") for n in range(1000)), FRONT)
    assert len(said[0]) < 600


def test_a_mistyped_name_is_named_with_the_one_it_resembles():
    known = ["max_depth", "min_depth", "speckle.size", "use_sim_time", "roi"]
    given = [
        "max_dept",
        "speckle_size",
        "robot_base",
        "roi",
        "qos_overrides./points.publisher.depth",
    ]
    said, others = overrides.unknown_names(given, known)
    assert said == [
        "parameter max_dept is not known and ignored; did you mean max_depth?",
        "parameter speckle_size is not known and ignored; did you mean speckle.size?",
    ]
    assert others == ["robot_base"]
    assert overrides.unknown_names(known, known) == ([], [])
