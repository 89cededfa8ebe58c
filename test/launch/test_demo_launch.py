"""The launch file with demo:=true, run for real: depth by value, then a clean end."""

from __future__ import annotations

import time
import unittest
from pathlib import Path

import pytest

pytest.importorskip("launch_testing", reason="needs a full ROS 2 (launch_testing)")

import launch_testing
import launch_testing.actions
import launch_testing.asserts
import numpy as np
import rclpy
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import Image

FILE = Path(__file__).parents[2] / "launch" / "stereo.launch.py"


@pytest.mark.launch_test
def generate_test_description():
    arguments = {"demo": "true", "namespace": "launched"}
    source = PythonLaunchDescriptionSource(str(FILE))
    return LaunchDescription(
        [
            IncludeLaunchDescription(source, launch_arguments=arguments.items()),
            launch_testing.actions.ReadyToTest(),
        ]
    )


class TestDepth(unittest.TestCase):
    def test_depth_agrees_with_the_simulated_truth(self):
        rclpy.init()
        node = rclpy.create_node("judge")
        heard: dict[str, Image] = {}
        for topic in ("depth/image_rect", "truth/depth/image_rect"):
            node.create_subscription(
                Image,
                f"/launched/{topic}",
                lambda message, topic=topic: heard.update({topic: message}),
                qos_profile_sensor_data,
            )
        deadline = time.monotonic() + 30
        while len(heard) < 2 and time.monotonic() < deadline:
            rclpy.spin_once(node, timeout_sec=0.1)
        node.destroy_node()
        rclpy.shutdown()
        self.assertEqual(len(heard), 2, f"heard only {list(heard)}")
        depth, truth = (np.frombuffer(heard[t].data, np.float32) for t in sorted(heard))
        both = np.isfinite(depth) & np.isfinite(truth)
        self.assertGreater(both.mean(), 0.5)
        self.assertLess(np.median(np.abs(depth[both] / truth[both] - 1)), 0.02)


@launch_testing.post_shutdown_test()
class TestEnd(unittest.TestCase):
    def test_every_process_ends_with_status_0(self, proc_info):
        launch_testing.asserts.assertExitCodes(proc_info)
