"""How the benchmark measures and what it prints; test/cli/test_bench.py runs it whole."""

from __future__ import annotations

import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from sensor_msgs.msg import CameraInfo
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.ros.messages import image_message
from stereo_depth_ros.ros.tools import bench
from stereo_depth_ros.ros.tools.bench_report import Delivery, NodeBenchmark, Run, Soak

RUN = Run(
    size="640x480",
    outputs="depth",
    frames=60,
    stages={"decode": (0.5, 0.75), "inference": (20.0, 30.0)},
    own=(2.0, 3.0),
    overhead=(4.0, 5.0),
    stamp_to_publish=(24.0, 35.0),
    memcpy=0.25,
    megabytes=3.1,
)
DELIVERY = Delivery("640x480", "rgb8, sent reliable", "default", 90, 45, 3.5, 7.25)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_text_holds_the_measured_numbers():
    measured = NodeBenchmark("sgbm on opencv", [RUN], [DELIVERY], Soak(3.0, 5000, 100.0, 102.5))
    lines = measured.as_text().splitlines()

    rows = [cells(line) for line in lines if line.startswith("| 640x480")]
    assert rows == [
        [
            *("640x480", "depth", "24.0 / 35.0", "20.0 / 30.0", "4.0 / 5.0", "2.0 / 3.0"),
            "0.25 (3.1 MB)",
        ],
        ["640x480", "rgb8, sent reliable", "default", "45 of 90", "3.5 ms", "7.2 ms"],
    ]
    assert "- 640x480 depth (60 frames): decode 0.50 / 0.75, inference 20.00 / 30.00" in lines
    assert "5000 frames out" in lines[-1]
    assert "+2.50 %" in lines[-1]


def test_numbers_are_plain_values_for_json():
    values = NodeBenchmark("sgbm", [RUN], [DELIVERY]).as_dict()

    assert values["runs"][0]["stages"]["decode"] == (0.5, 0.75)
    assert values["deliveries"][0]["received"] == 45
    assert values["soak"] is None


def test_copied_bytes_are_those_of_both_images_and_all_messages():
    depth = image_message(np.zeros((48, 64), np.float32), "32FC1", 64)
    latest = {"depth": depth, "disparity": DisparityImage(image=depth), "info": CameraInfo()}

    milliseconds, megabytes = bench._time_memcpy(SimpleNamespace(latest=latest), (64, 48))

    assert megabytes == pytest.approx((2 * 3 * 64 * 48 + 2 * 4 * 64 * 48) / 1e6)
    assert 0 < milliseconds < 1000


TRANSPORTS = """
import os
from sensor_msgs.msg import Image
from stereo_depth_ros.ros.tools import bench

def show():
    names = ("FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_BUILTIN_TRANSPORTS")
    print(*(os.environ.get(name) for name in names))

with bench._open_recorder({"depth": Image}, {"FASTDDS_BUILTIN_TRANSPORTS": "UDPv4"}):
    show()
show()
"""


@pytest.mark.ros
def test_transport_is_chosen_for_one_recorder_alone():
    environment = {**os.environ, "FASTRTPS_DEFAULT_PROFILES_FILE": "mine.xml"}
    environment.pop("FASTDDS_BUILTIN_TRANSPORTS", None)
    done = subprocess.run(
        [sys.executable, "-c", TRANSPORTS],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert done.stdout.splitlines() == ["None UDPv4", "mine.xml None"]
