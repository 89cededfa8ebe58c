"""What glibc does with the memory of a message that is gone."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from stereo_depth_ros.ros import allocator

MEBIBYTE = 1 << 20
MEASURE = """
import sys
from pathlib import Path
from resource import getpagesize
from stereo_depth_ros.ros.allocator import keep_large_blocks

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()

if sys.argv[1] == "keep":
    keep_large_blocks()
before = resident()
block = b"1" * (8 << 20)
del block
print(resident() - before)
"""


def resident_after(mode: str) -> int:
    """Bytes that a process still holds of 8 MiB that it has freed."""
    command = [sys.executable, "-c", MEASURE, mode]
    return int(subprocess.run(command, capture_output=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")
def test_block_of_a_message_stays_with_the_process():
    assert resident_after("leave") < MEBIBYTE
    assert resident_after("keep") > 7 * MEBIBYTE


def test_other_systems_are_left_alone(monkeypatch):
    monkeypatch.setattr(allocator.sys, "platform", "darwin")
    monkeypatch.setattr(allocator.ctypes, "CDLL", None)

    allocator.keep_large_blocks()
