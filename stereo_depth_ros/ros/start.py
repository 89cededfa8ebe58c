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

_USAGE = """\
usage: {0} [--ros-args [-p NAME:=VALUE] [--params-file FILE] [-r FROM:=TO] …]

Runs until SIGINT or SIGTERM, and takes ROS arguments alone. While it runs, 'ros2 param list /{0}'
names its parameters and 'ros2 param describe /{0} NAME' explains one."""


def stereo_depth_node() -> None:
    """Run the stereo node and end the process."""
    start("stereo_depth_node")


def scene_camera() -> None:
    """Run the simulated camera and end the process."""
    start("scene_camera")


def start(executable: str) -> None:
    """Run ``executable``, or show its usage where that is asked for; end with its status."""
    own = sys.argv[1 : sys.argv.index("--ros-args") if "--ros-args" in sys.argv else None]
    if {"-h", "--help"}.intersection(own):
        print(_USAGE.format(executable))
        sys.exit()
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
