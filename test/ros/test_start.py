"""How the process of a node ends."""

from __future__ import annotations

import subprocess
import sys

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


def test_process_ends_with_the_status_of_the_node_whatever_threads_still_do():
    done = subprocess.run(
        [sys.executable, "-c", STARTED], capture_output=True, text=True, timeout=60, check=False
    )

    assert (done.returncode, done.stdout, done.stderr) == (75, "out", "err")
