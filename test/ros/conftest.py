"""A private DDS domain for the whole test run, and nodes in processes of their own."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest


@pytest.fixture(scope="session")
def dds():
    """Put this process and its children into a domain that no other robot or test run uses."""
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    from stereo_depth_ros.ros.transport import transport_environment

    # Domains above 101 collide with the ephemeral ports of Linux.
    os.environ["ROS_DOMAIN_ID"] = str(1 + os.getpid() % 100)
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.update(transport_environment())
    rclpy.init()
    yield
    rclpy.try_shutdown()


@pytest.fixture(scope="module")
def processes(dds):
    """Start node processes that end with the module: processes(NODE, parameters, namespace)."""
    from stereo_depth_ros.ros.processes import running

    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(running(*args, **kwargs))


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
