"""How the process of a node ends."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from stereo_depth_ros.ros import start

STARTED = """
import sys, threading, time
from types import ModuleType
from stereo_depth_ros.ros import start

def main():
    threading.Thread(target=time.sleep, args=[300]).start()
    print("out", end="")
    print("err", end="", file=sys.stderr)
    return 75

module = ModuleType("ended")
module.main = main
sys.modules["ended"] = module
start._MODULES["ended"] = "ended"
start.start("ended")
"""


@pytest.mark.parametrize("executable", ["stereo_depth_node", "scene_camera"])
@pytest.mark.parametrize("arguments", [["--help"], ["-h", "--ros-args", "-p", "model:=sgbm"]])
def test_help_is_shown_and_nothing_started(executable, arguments):
    done = subprocess.run(
        [sys.executable, "-m", "stereo_depth_ros.ros.start", executable, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: {executable} [--ros-args ")
    assert f"'ros2 param list /{executable}'" in done.stdout


def test_ros_arguments_ask_for_no_help(monkeypatch):
    module = ModuleType("ended")
    module.main = lambda: 3
    monkeypatch.setitem(sys.modules, "ended", module)
    monkeypatch.setitem(start._MODULES, "ended", "ended")
    monkeypatch.setattr(sys, "argv", ["ended", "--ros-args", "-p", "-h"])
    monkeypatch.setattr(start.signal, "signal", lambda *_: None)
    ends = []
    monkeypatch.setattr(start.os, "_exit", ends.append)

    start.start("ended")

    assert ends == [3]


def test_process_ends_with_the_status_of_the_node_whatever_threads_still_do():
    done = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (75, "out", "err")
