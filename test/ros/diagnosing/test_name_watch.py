"""A second node of one name is reported, one that was killed and started anew is not."""

from __future__ import annotations

import pytest

from stereo_depth_ros.ros.diagnosing.name_watch import NameWatch

OURS = ("stereo_depth_node", "/front")
OTHER = ("stereo_depth_node", "/rear")


def warnings(graphs: dict[int, list], name: str = "/front/stereo_depth_node") -> list[int]:
    """The seconds at which ``graphs``, by the second from which they hold, give a warning."""
    watch, names, at = NameWatch(name), [], []
    for second in range(200):
        names = graphs.get(second, names)
        text = watch.check(names, float(second))
        if text:
            assert text.startswith(f"2 nodes have the name {name}")
            at.append(second)
    return at


def test_a_namesake_is_reported_once():
    assert warnings({0: [OURS, OTHER], 10: [OURS, OURS, OTHER]}) == [40]


def test_a_killed_process_that_the_graph_remembers_is_no_namesake():
    assert warnings({0: [OURS, OURS], 25: [OURS], 50: [OURS, OURS], 75: [OURS]}) == []


def test_nodes_in_other_namespaces_are_no_namesakes():
    assert warnings({0: [OURS, OTHER, ("scene_camera", "/front")]}) == []


def test_a_node_in_no_namespace_has_namesakes_too():
    root = ("stereo_depth_node", "/")
    assert warnings({0: [root, root, OURS]}, "/stereo_depth_node") == [30]


@pytest.mark.ros
def test_ros_lists_both_nodes_of_one_name(dds):
    from rclpy.node import Node

    nodes = [Node("namesake", namespace="/twice") for _ in range(2)]
    try:
        listed = nodes[0].get_node_names_and_namespaces()
        assert listed.count(("namesake", "/twice")) == 2
    finally:
        for node in nodes:
            node.destroy_node()
