from __future__ import annotations

import time
from dataclasses import fields

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from stereo_depth_ros.ros import parameters
from stereo_depth_ros.ros.parameter_table import PARAMETERS, Parameter
from stereo_depth_ros.settings import Settings
from stereo_depth_ros.share import share_directory

DEFAULTS = {parameter.name: parameter.default for parameter in PARAMETERS}
BY_NAME = {parameter.name: parameter for parameter in PARAMETERS}
NOT_LIVE = [parameter.name for parameter in PARAMETERS if not parameter.live]
LIVE = [parameter.name for parameter in PARAMETERS if parameter.live]

every_parameter = pytest.mark.parametrize("parameter", PARAMETERS, ids=lambda p: p.name)


YAML = share_directory() / "config" / "stereo.yaml"


def declared(*arguments: str, **overrides) -> Node:
    """A node with all parameters; ``arguments`` are those of a command line."""
    node = Node(
        "parameters_test",
        cli_args=["--ros-args", *arguments],
        parameter_overrides=[RosParameter(name, value=value) for name, value in overrides.items()],
    )
    try:
        parameters.declare(node)
    except ValueError:
        node.destroy_node()
        raise
    return node


@pytest.fixture(scope="module")
def node(dds):
    node = declared()
    yield node
    node.destroy_node()


def started(*arguments: str, **overrides) -> dict[str, object]:
    """The parameters of a node that was started so."""
    node = declared(*arguments, **overrides)
    values = parameters.current(node)
    node.destroy_node()
    return values


# -- the table -----------------------------------------------------------------------------------


@every_parameter
def test_every_parameter_is_described_in_one_line(parameter):
    assert parameter.description.strip() == parameter.description != ""
    assert "\n" not in parameter.description
    assert "|" not in parameter.description, "would break the table of the page"
    assert not parameter.description.endswith(".")


@every_parameter
def test_every_default_is_allowed(parameter):
    if parameter.limits is not None:
        low, high = parameter.limits
        assert low <= parameter.default <= high
    if parameter.choices:
        assert parameter.default in parameter.choices
    assert parameters.problem(parameter.name, parameter.default) is None


@every_parameter
def test_every_number_has_limits(parameter):
    is_number = isinstance(parameter.default, (int, float)) and not isinstance(
        parameter.default, bool
    )
    assert is_number == (parameter.limits is not None)


def test_defaults_are_the_pipelines():
    assert parameters.settings_from(DEFAULTS) == Settings()


def test_every_setting_has_a_parameter_of_its_own():
    changed = {
        "min_depth": 0.2,
        "max_depth": 20.0,
        "confidence_threshold": 0.3,
        "lr_check": True,
        "lr_tolerance": 2.5,
        "edge_filter": 3.0,
        "speckle.size": 40,
        "speckle.step": 0.75,
        "roi": "[[0, 1], [20, 2], [10, 30]]",
        "temporal_gain": 0.4,
        "points.stride": 3,
        "clearing_range": 7.0,
        "output_resolution": "model",
        "max_side": 320,
    }
    found = parameters.settings_from({**DEFAULTS, **changed})
    expected = Settings(
        min_depth=0.2,
        max_depth=20.0,
        confidence_threshold=0.3,
        lr_check=True,
        lr_tolerance=2.5,
        edge_filter=3.0,
        speckle_size=40,
        speckle_step=0.75,
        roi=(0, 1, 20, 2, 10, 30),
        temporal_gain=0.4,
        points_stride=3,
        clearing_range=7.0,
        output_resolution="model",
        max_side=320,
    )
    assert found == expected
    default = Settings()
    same = [f.name for f in fields(found) if getattr(found, f.name) == getattr(default, f.name)]
    assert same == [], "settings that this test does not change"


# -- values that are not allowed -----------------------------------------------------------------


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if p.choices])
def test_a_word_that_is_not_a_choice_is_refused(name):
    reason = parameters.problem(name, "nonsense")
    assert reason.startswith(f"{name} is 'nonsense'; it must be one of ")
    assert all(choice in reason for choice in BY_NAME[name].choices)


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if p.choices])
def test_every_choice_is_accepted(name):
    for choice in BY_NAME[name].choices:
        assert parameters.problem(name, choice) is None


def other(name: str) -> object:
    """An allowed value of a parameter that is not its default."""
    parameter = BY_NAME[name]
    if parameter.choices:
        return next(choice for choice in parameter.choices if choice != parameter.default)
    if isinstance(parameter.default, bool):
        return not parameter.default
    if isinstance(parameter.default, str):
        return "[[0, 0], [9, 0], [9, 9]]"
    high = parameter.limits[1]
    return type(parameter.default)(high if high != parameter.default else parameter.limits[0])


@pytest.mark.parametrize("name", NOT_LIVE)
def test_what_configuring_uses_may_not_change_while_configured(name):
    reason = parameters.refusal(DEFAULTS, {name: other(name)}, configured=True)
    assert reason.startswith(f"{name} is used when the node is configured")
    assert "cleanup" in reason
    assert parameters.refusal(DEFAULTS, {name: other(name)}, configured=False) is None


def test_values_that_parameters_have_already_are_accepted_while_configured():
    assert parameters.refusal(DEFAULTS, DEFAULTS, configured=True) is None
    mine = {**DEFAULTS, "model": "/data/net.onnx", "slop": 0.02}
    assert parameters.refusal(mine, mine, configured=True) is None
    assert "model" in parameters.refusal(mine, DEFAULTS, configured=True)


@pytest.mark.parametrize("name", LIVE)
def test_what_is_live_may_change_while_configured(name):
    if name != "min_depth":
        assert parameters.refusal(DEFAULTS, {name: other(name)}, configured=True) is None
    else:
        assert parameters.refusal(DEFAULTS, {name: 0.2}, configured=True) is None


def test_a_live_word_is_checked_while_configured_too():
    assert "input, model" in parameters.refusal(DEFAULTS, {"output_resolution": "half"}, True)


@pytest.mark.parametrize("configured", [True, False])
def test_parameters_of_others_are_left_alone(configured):
    # A contradiction of our own is not theirs.
    values = {**DEFAULTS, "min_depth": 60.0, "roi": "[[0, 0]"}
    theirs = {"use_sim_time": True, "qos_overrides./points.publisher.depth": 5}
    assert parameters.refusal(values, theirs, configured) is None


def test_check_names_the_first_value_that_is_not_allowed():
    with pytest.raises(ValueError, match=r"^backend is 'tpu'; it must be one of auto"):
        parameters.check({**DEFAULTS, "backend": "tpu"})


def test_check_accepts_the_defaults():
    parameters.check(DEFAULTS)


@pytest.mark.parametrize(("low", "high"), [(5.0, 5.0), (6.0, 5.0)])
def test_crossed_depth_limits_are_refused_by_name(low, high):
    with pytest.raises(ValueError, match=rf"min_depth \({low:g}\).*max_depth \({high:g}\)"):
        parameters.settings_from({**DEFAULTS, "min_depth": low, "max_depth": high})


@pytest.mark.parametrize(
    "text",
    [
        "somewhere",
        "5",
        "[1, 2, 3, 4, 5, 6]",
        "[[0, 0], [10, 0], [10]]",
        "[[0, 0], [10, 0], [10, 5, 5]]",
        "[[0, 0], [10, 0], [a, b]]",
        "[[0, 0], [10, 0]",
        "{x: 1}",
        "[[0, 0], null, [1, 1]]",
        "[[0, 0], [10, 0]]",
        "[[0, 0], [9, 9], [1, 1" + "9" * 400 + "]]",
        "[[0, 0], [9, 9], [1, !!int '']]",
        "[[0, 0], [9, 9], [1, &a 5]]",
        "[" * 200_000,
        "[" * 200_000 + "]" * 200_000,
        "[[1" + "0" * 200_000 + "x",
        " " * 200_000 + "x",
        "[[0, 0], [9, 9], [nan, inf]]",
        str([[n, n] for n in range(5000)]),
    ],
    ids=lambda text: text[:30],
)
def test_a_roi_that_is_no_polygon_is_refused_by_name_at_once(text):
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^roi (is|has|holds) ") as raised:
        parameters.settings_from({**DEFAULTS, "roi": text})
    assert time.process_time() - began < 0.2
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if isinstance(p.default, str)])
def test_every_text_has_a_greatest_length(name):
    reason = parameters.refusal(DEFAULTS, {name: "[" * 100_000}, configured=False)
    assert reason.startswith(f"{name} is 100000 characters long; at most 4096")


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("max_depth", 10, "max_depth is 10; it takes a decimal number: write 10.0"),
        ("max_depth", "far", "max_depth is 'far'; it takes a decimal number such as 1.5"),
        ("max_depth", "10.0", "max_depth is '10.0'; write 10.0 without quotes"),
        ("autostart", "false", "autostart is 'false'; write false without quotes"),
        ("autostart", "10", "autostart is '10'; it takes true or false"),
        ("queue_size", 2.5, "queue_size is 2.5; it takes a whole number"),
        ("max_disparity", 128.0, "max_disparity is 128.0; it takes a whole number: write 128"),
        ("max_disparity", float("inf"), "max_disparity is inf; it takes a whole number"),
        ("lr_check", 1, "lr_check is 1; it takes true or false"),
        ("model", 5, "model is 5; it takes text: write '\"5\"'"),
        ("roi", None, "roi is None; it cannot be deleted"),
        ("roi", [1, 2], "roi is [1, 2]; it takes text"),
    ],
)
def test_a_value_of_another_type_is_refused_with_its_cure(name, value, cure):
    assert parameters.problem(name, value) == cure


@pytest.mark.parametrize("text", ["", "[]", " "])
def test_an_empty_roi_is_no_roi(text):
    assert parameters.settings_from({**DEFAULTS, "roi": text}).roi == ()


@pytest.mark.parametrize(
    "text",
    [
        "[[1, 2], [30.5, 4], [5, 60], [0, 7]]",
        " [ [1,2],[3.05e1 , +4.],\n [5, 60], [-0, 7.0] ] ",
    ],
)
def test_a_roi_is_read_corner_by_corner(text):
    found = parameters.settings_from({**DEFAULTS, "roi": text})
    assert found.roi == (1.0, 2.0, 30.5, 4.0, 5.0, 60.0, 0.0, 7.0)


# -- on a node -----------------------------------------------------------------------------------


def test_a_node_has_every_parameter_at_its_default(node):
    assert parameters.current(node) == DEFAULTS


@every_parameter
def test_a_node_describes_every_parameter(node, parameter):
    descriptor = node.describe_parameter(parameter.name)
    assert descriptor.description == parameter.description
    assert descriptor.additional_constraints == ", ".join(parameter.choices)
    assert not descriptor.read_only


@pytest.mark.parametrize("name", [p.name for p in PARAMETERS if p.limits], ids=str)
def test_a_node_refuses_numbers_beyond_the_limits(node, name):
    kind, limits = type(DEFAULTS[name]), BY_NAME[name].limits
    for value, allowed in (
        (kind(limits[0]), True),
        (kind(limits[1]), True),
        (kind(limits[0] - 1), False),
        (kind(limits[1] + 1), False),
    ):
        result = node.set_parameters([RosParameter(name, value=value)])[0]
        assert result.successful is allowed, f"{value}: {result.reason}"
    node.set_parameters([RosParameter(name, value=DEFAULTS[name])])


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_node_refuses_numbers_that_are_none(node, value):
    assert not node.set_parameters([RosParameter("max_depth", value=value)])[0].successful


def test_a_node_refuses_another_type(node):
    assert not node.set_parameters([RosParameter("max_depth", value="far")])[0].successful


def test_a_node_does_not_start_with_a_value_of_another_type(dds):
    with pytest.raises(ValueError, match=r"^max_depth is 10; .* write 10\.0$"):
        declared("-p", "max_depth:=10")


@pytest.mark.parametrize(
    ("name", "beyond", "reason"),
    [
        ("queue_size", 0, "queue_size is 0; it must be from 1 to 100"),
        ("queue_size", 101, "queue_size is 101; it must be from 1 to 100"),
        ("slop", 1.5, "slop is 1.5; it must be from 0 to 1"),
        ("max_depth", float("nan"), "max_depth is nan; it must be from 0.001 to 10000"),
    ],
)
def test_a_node_does_not_start_with_a_number_beyond_its_limits(dds, name, beyond, reason):
    assert parameters.problem(name, beyond) == reason
    with pytest.raises(ValueError, match=f"^{reason}$"):
        declared(**{name: beyond})


@pytest.mark.parametrize(("name", "last"), [("queue_size", 1), ("queue_size", 100), ("slop", 1.0)])
def test_a_node_starts_with_the_numbers_at_its_limits(dds, name, last):
    assert started(**{name: last})[name] == last


def test_ros_reads_the_yaml_file_to_the_defaults(dds):
    assert started("--params-file", str(YAML)) == DEFAULTS


def test_ros_reads_what_a_user_types(dds):
    values = started(
        *("-p", "rectify:=always", "-p", "sync:=exact", "-p", "lr_check:=true"),
        *("-p", "max_depth:=12.5", "-p", "points.stride:=2", "-p", "model:=/data/net.onnx"),
        *("-p", "roi:='[[0, 0], [9, 0], [9, 9]]'"),
    )
    changed = {name: value for name, value in values.items() if value != DEFAULTS[name]}
    assert changed == {
        "rectify": "always",
        "sync": "exact",
        "lr_check": True,
        "max_depth": 12.5,
        "points.stride": 2,
        "model": "/data/net.onnx",
        "roi": "[[0, 0], [9, 0], [9, 9]]",
    }
    assert values["lr_check"] is True
    assert parameters.settings_from(values).roi == (0, 0, 9, 0, 9, 9)


def test_limits_of_whole_numbers_are_whole():
    descriptor = Parameter("n", 5, "a number", (0, 7)).descriptor()
    assert [(r.from_value, r.to_value) for r in descriptor.integer_range] == [(0, 7)]
    assert list(descriptor.floating_point_range) == []
