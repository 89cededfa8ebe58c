"""The node on a machine that has, as far as it can tell, a GPU and TensorRT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import rclpy
from gated_build import stand_in
from rclpy.executors import MultiThreadedExecutor

from stereo_depth_ros.ros.node import main

spin_in_one_thread = rclpy.spin


def spin_in_several_threads(node: rclpy.node.Node) -> None:
    spin_in_one_thread(node, MultiThreadedExecutor())


if __name__ == "__main__":
    if "STAND_IN_THREADS" in os.environ:
        rclpy.spin = spin_in_several_threads
    stand_in(Path(os.environ["STAND_IN_CACHE"]))
    sys.exit(main())
