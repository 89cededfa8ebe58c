"""Answers of a real lifecycle node to the requests of a manager."""

from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.lifecycle import LifecycleNode

from stereo_depth_ros.ros.state_requests import StateRequests

CONFIGURE, ACTIVATE = Transition.TRANSITION_CONFIGURE, Transition.TRANSITION_ACTIVATE
DEACTIVATE, CLEANUP = Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_CLEANUP


@pytest.fixture
def node(dds):
    node = LifecycleNode("state_requests_test")
    StateRequests(node)
    yield node
    node.destroy_node()


def ask(node: LifecycleNode, number: int = 0, label: str = "") -> tuple[bool, str]:
    """Ask for a transition; return success and the state that follows."""
    (service,) = (one for one in node.services if one.srv_type is ChangeState)
    request = ChangeState.Request(transition=Transition(id=number, label=label))
    response = service.callback(request, ChangeState.Response())
    return response.success, node._state_machine.current_state[1]


def test_allowed_transitions_are_made(node):
    assert ask(node, CONFIGURE) == (True, "inactive")
    assert ask(node, ACTIVATE) == (True, "active")
    assert ask(node, DEACTIVATE) == (True, "inactive")
    assert ask(node, CLEANUP) == (True, "unconfigured")


def test_label_counts_before_the_number(node):
    assert ask(node, CLEANUP, "configure") == (True, "inactive")


def test_request_for_the_state_of_the_node_succeeds(node):
    assert ask(node, CLEANUP) == (True, "unconfigured")
    ask(node, CONFIGURE)
    assert ask(node, CONFIGURE) == (True, "inactive")
    ask(node, ACTIVATE)
    assert ask(node, label="activate") == (True, "active")


def test_configure_deactivates_an_active_node_for_nav2(node):
    ask(node, CONFIGURE)
    ask(node, ACTIVATE)
    assert ask(node, CONFIGURE) == (True, "inactive")


@pytest.mark.parametrize("request_", [{"number": ACTIVATE}, {"number": 99}, {"label": "explode"}])
def test_request_that_the_state_does_not_allow_is_refused(node, request_):
    assert ask(node, **request_) == (False, "unconfigured")
