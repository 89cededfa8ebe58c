"""Nodes in processes of their own, and rigs that face them over DDS."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest


@pytest.fixture(scope="session")
def dds():
    """Let this process speak ROS, over the shipped transport."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    from stereo_depth_ros.ros.transport import transport_environment

    os.environ.update(transport_environment())
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def processes(dds):
    """Start node processes that end with the module: processes(NODE, parameters, namespace)."""
    from stereo_depth_ros.ros.tools.processes import run_process

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(run_process(*args, **kwargs))


@pytest.fixture(scope="module")
def rigs(dds):
    """Make camera-and-listener rigs that end with the module: rigs(namespace)."""
    from rig import Rig

    made = []

    def make(*args, **kwargs):
        made.append(Rig(*args, **kwargs))
        return made[-1]

    yield make
    for rig in made:
        rig.destroy_node()
