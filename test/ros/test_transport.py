"""Which transport profile the installed FastDDS is given, and that it reads it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stereo_depth_ros.ros import transport
from stereo_depth_ros.share import share_directory

OLD, NEW = "FASTRTPS_DEFAULT_PROFILES_FILE", "FASTDDS_DEFAULT_PROFILES_FILE"
SHIPPED = str(share_directory() / "config" / "fastdds.xml")


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch):
    for name in transport.CHOICES:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("chosen", "added"),
    [
        ({}, {OLD: SHIPPED, NEW: SHIPPED}),
        ({OLD: "", NEW: ""}, {OLD: SHIPPED, NEW: SHIPPED}),
        ({NEW: "/mine.xml"}, {OLD: "/mine.xml"}),
        ({OLD: "/mine.xml"}, {NEW: "/mine.xml"}),
        ({OLD: "/mine.xml", NEW: "/other.xml"}, {}),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA"}, {}),
        ({"FASTDDS_BUILTIN_TRANSPORTS": "LARGE_DATA", NEW: "/mine.xml"}, {OLD: "/mine.xml"}),
    ],
)
def test_a_chosen_file_is_given_to_both_names_and_nothing_chosen_is_replaced(
    monkeypatch, chosen, added
):
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert transport.transport_environment() == added


@pytest.mark.ros
@pytest.mark.parametrize("exported", [(), (OLD,), (NEW,)], ids=["none", "old", "new"])
def test_the_installed_fastdds_reads_the_profile_whatever_name_was_exported(
    monkeypatch, tmp_path, exported
):
    rclpy = pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    if "fastrtps" not in rclpy.get_rmw_implementation_identifier():
        pytest.skip("another middleware than FastDDS")
    # FastDDS complains of a profile that it reads and cannot parse.
    broken = tmp_path / "broken.xml"
    broken.write_text("<dds><profiles><participant></dds>")
    monkeypatch.setattr(
        transport, "profile_environment", lambda: dict.fromkeys((OLD, NEW), str(broken))
    )
    for name in exported:
        monkeypatch.setenv(name, str(broken))
    child = subprocess.run(
        [sys.executable, "-c", "import rclpy; rclpy.init(); rclpy.create_node('reader')"],
        env={**os.environ, **transport.transport_environment()},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "XMLPARSER" in child.stderr + child.stdout, child.stderr
