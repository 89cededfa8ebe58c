"""The nodes as executables: `python -m stereo_depth_ros.ros.start EXECUTABLE --ros-args …`.

Imports nothing that takes time, so that a signal acts from the first moment.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from importlib import import_module

_MODULES = {
    "stereo_depth_node": "stereo_depth_ros.ros.node",
    "scene_camera": "stereo_depth_ros.ros.tools.scene_camera",
}


def stereo_depth_node() -> None:
    """Run the stereo node and end the process."""
    start("stereo_depth_node")


def scene_camera() -> None:
    """Run the simulated camera and end the process."""
    start("scene_camera")


def start(executable: str) -> None:
    """Run ``executable`` and end the process with its status."""
    # While modules load there is nothing to clean up, and a traceback helps nobody.
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    status = import_module(_MODULES[executable]).main()
    # The node is part of reference cycles, and its participant holds 70 MB of shared memory.
    gc.collect()
    sys.stdout.flush()
    sys.stderr.flush()
    # A thread that is still in an inference must not meet the destructors of static objects.
    os._exit(status)


if __name__ == "__main__":
    start(sys.argv.pop(1))
