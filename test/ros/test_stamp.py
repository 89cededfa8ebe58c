from __future__ import annotations

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (sensor_msgs)")

from sensor_msgs.msg import Image

from stereo_depth_ros.ros.stamp import stamp_ns


@pytest.mark.parametrize(
    ("seconds", "nanoseconds", "expected"),
    [(1_700_000_000, 12_345_678, 1_700_000_000_012_345_678), (-1, 5, -999_999_995)],
)
def test_stamp_is_in_nanoseconds(seconds, nanoseconds, expected):
    message = Image()
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, nanoseconds

    assert stamp_ns(message) == expected
