"""What a parameter change does to a node, and when; in this process."""

from __future__ import annotations

import re

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter

from stereo_depth_ros.ros.node import StereoDepthNode

pytestmark = pytest.mark.ros


def make(**values) -> StereoDepthNode:
    values = {"model": "sgbm", **values}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = StereoDepthNode(namespace="/parameters", parameter_overrides=overrides)
    node.start()
    return node


@pytest.fixture
def node(dds):
    node = make()
    yield node
    node.destroy_node()


def change(node: StereoDepthNode, **values) -> SetParametersResult:
    return node.set_parameters_atomically([Parameter(n, value=v) for n, v in values.items()])


def settings(node: StereoDepthNode):
    return node._channel.processor.pipeline.settings


def refuse_after(node: StereoDepthNode) -> None:
    """Let another callback refuse everything, after the node's own has allowed it."""
    # rclpy asks the callback first that was added last.
    node.remove_on_set_parameters_callback(node._check_parameters)
    node.add_on_set_parameters_callback(lambda _: SetParametersResult(successful=False))
    node.add_on_set_parameters_callback(node._check_parameters)


def test_a_change_acts_at_once(node):
    assert change(node, max_depth=5.0, max_rate=2.0).successful
    assert settings(node).max_depth == 5.0
    assert node._channel.max_rate == 2.0


def test_a_change_that_another_callback_refuses_does_not_act(node):
    refuse_after(node)
    assert not change(node, max_depth=5.0, max_rate=2.0).successful
    assert node.get_parameter("max_depth").value == settings(node).max_depth == 50.0
    assert node.get_parameter("max_rate").value == node._channel.max_rate == 0.0


def test_a_change_acts_where_rclpy_calls_nobody_afterwards(dds, monkeypatch):
    # Humble
    monkeypatch.delattr(Node, "add_post_set_parameters_callback")
    node = make()
    assert change(node, max_depth=5.0, roi="[[0, 0], [9, 0], [9, 9]]").successful
    assert settings(node).max_depth == 5.0
    assert settings(node).roi == (0, 0, 9, 0, 9, 9)
    assert not change(node, max_depth=0.01).successful
    assert settings(node).max_depth == 5.0
    node.destroy_node()


@pytest.mark.parametrize(
    "text",
    ["9" * 400, "!!int ''", "[" * 200_000, str([[n, n] for n in range(5000)])],
    ids=["digits", "tag", "brackets", "corners"],
)
def test_a_roi_text_that_is_no_polygon_is_refused_and_the_node_lives(node, text):
    result = change(node, roi=text)
    assert not result.successful
    assert result.reason.startswith("roi is ")
    assert change(node, roi="[[0, 0], [9, 0], [9, 9]]").successful
    assert settings(node).roi == (0, 0, 9, 0, 9, 9)


def test_a_deleted_parameter_is_refused(node):
    assert not node.set_parameters([Parameter("roi", Parameter.Type.NOT_SET, None)])[0].successful
    assert node.get_parameter("roi").value == ""


def test_the_node_takes_its_own_values_back_while_it_is_configured(node):
    own = {name: node.get_parameter(name) for name in ("model", "autostart", "slop", "max_depth")}
    assert all(result.successful for result in node.set_parameters(list(own.values())))
    assert not change(node, model="sgbm_hh").successful


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"min_depth": 60.0}, r"min_depth \(60\) must be above 0 and below max_depth \(50\)"),
        ({"roi": "[[1, 2]"}, r"roi is '\[\[1, 2\]'; write the corners"),
        ({"roi": "[" * 100_000}, "roi is 100000 characters long"),
        ({"model": "m" * 100_000}, "model is 100000 characters long"),
        ({"backend": "tpu"}, "backend is 'tpu'; it must be one of auto, "),
    ],
)
def test_wrong_values_at_the_start_are_named_and_curable(dds, values, cause):
    node = make(**values)
    try:
        assert node._channel is None
        assert node._configure_error is not None

        assert re.match(f"cannot configure: {cause}", node._configure_error)
        for cure in ("param set {} NAME VALUE'", "lifecycle set {} configure'"):
            assert f"'ros2 {cure.format('/parameters/stereo_depth_node')}" in node._configure_error
        defaults = {"min_depth": 0.1, "roi": "", "model": "sgbm", "backend": "auto"}
        assert change(node, **{name: defaults[name] for name in values}).successful
        node.start()
        assert node._channel is not None
    finally:
        node.destroy_node()
