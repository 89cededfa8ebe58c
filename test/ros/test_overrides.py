"""Parameter files and names that reach nothing are named; those that do are not."""

from __future__ import annotations

import pytest

from stereo_depth_ros.ros import overrides

FRONT = "/front/stereo_depth_node"
ROOT = "/stereo_depth_node"


def lines(tmp_path, content: str, node_name: str) -> list[str]:
    file = tmp_path / "own.yaml"
    file.write_text(content)
    return overrides.find_unused_files(
        ["node", "--ros-args", "--params-file", str(file)], node_name
    )


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
    said, others = overrides.sort_unknown_names(given, known)
    assert said == [
        "parameter max_dept is not known and ignored; did you mean max_depth?",
        "parameter speckle_size is not known and ignored; did you mean speckle.size?",
    ]
    assert others == ["robot_base"]
    assert overrides.sort_unknown_names(known, known) == ([], [])


KINDS = {"max_depth": float, "autostart": bool, "queue_size": int, "roi": str, "speckle.size": int}


def type_problem(*arguments: str, node_name: str = FRONT) -> str | None:
    def problem(name, value):
        wrong = name in KINDS and type(value) is not KINDS[name]
        return f"{name} is {value!r}" if wrong else None

    return overrides.find_type_problem(["node", "--ros-args", *arguments], node_name, problem)


def file_of(tmp_path, content: str, name: str = "own.yaml") -> tuple[str, str]:
    (tmp_path / name).write_text(content)
    return "--params-file", str(tmp_path / name)


def of(section: str, key: str = "/**") -> str:
    return f"{key}:\n  ros__parameters: {section}\n"


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ('{max_depth: "10.0"}', "max_depth is '10.0'"),
        ("{max_depth: 10}", "max_depth is 10"),
        ("{max_depth: 0x10}", "max_depth is 16"),
        ("{max_depth: far}", "max_depth is 'far'"),
        ("{max_depth: [1.0, 2.0]}", "max_depth is [1.0, 2.0]"),
        ("{autostart: 'false'}", "autostart is 'false'"),
        ("{autostart: 1}", "autostart is 1"),
        ("{queue_size: 12.0}", "queue_size is 12.0"),
        ("{queue_size: 08}", "queue_size is 8.0"),
        ("{roi: off}", "roi is False"),
        ("{speckle: {size: 4.0}}", "speckle.size is 4.0"),
        ("{speckle.size: 4.0}", "speckle.size is 4.0"),
        ("{max_depth: 10, max_depth: 10.0}", "max_depth is 10"),
    ],
)
def test_a_value_of_a_wrong_type_is_named_in_whatever_file_it_is(tmp_path, section, reason):
    right = file_of(tmp_path, of("{max_depth: 50.0, autostart: true, queue_size: 10}"), "all.yaml")
    wrong = file_of(tmp_path, of(section))
    for arguments in ((*right, *wrong), (*wrong, *right)):
        assert type_problem(*arguments) == f"{wrong[1]}: {reason}"


@pytest.mark.parametrize(
    "section",
    [
        "{max_depth: 1e1}",
        "{max_depth: 10.}",
        "{max_depth: .inf}",
        "{max_depth: -.5E-3}",
        "{autostart: off}",
        "{autostart: y}",
        "{queue_size: 0x1F}",
        "{queue_size: -010}",
        "{roi: '10'}",
        "{roi: 2026-01-01}",
        "{roi: 1_000}",
        "{roi: null}",
        "{speckle: {size: 4}}",
        "{robot_base: 1, speckle: {colour: red}}",
        "",
    ],
)
def test_what_rcl_reads_as_the_type_is_not_refused(tmp_path, section):
    assert type_problem(*file_of(tmp_path, of(section))) is None


def test_values_of_other_nodes_are_not_looked_at(tmp_path):
    file = file_of(tmp_path, of("{max_depth: 10}", "/driver"))
    assert type_problem(*file) is None
    assert type_problem(*file, node_name="/driver") == f"{file[1]}: max_depth is 10"


def test_values_on_the_command_line_count_too():
    assert type_problem("-p", "max_depth:='10.0'") == "-p: max_depth is '10.0'"
    assert type_problem("--param", "max_depth:=10") == "--param: max_depth is 10"
    assert type_problem("-p", "max_depth:=10.0", "-r", "max_depth:=10") is None
    assert type_problem("-p", "driver:max_depth:=10") is None
    assert type_problem("-p", "stereo_depth_node:max_depth:=10", node_name=ROOT) is not None
