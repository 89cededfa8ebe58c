"""Run the package's nodes as processes of their own, as a launch file would, without launch."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

NODE = "stereo_depth_ros.ros.start stereo_depth_node"
SCENE_CAMERA = "stereo_depth_ros.ros.start scene_camera"


@contextmanager
def running(
    module: str,
    parameters: Mapping[str, Any] | None = None,
    namespace: str = "/",
    remappings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen]:
    """Run ``module`` (`NODE` or `SCENE_CAMERA`) until the block ends, then stop it by SIGINT.

    ``module`` is what follows ``python -m``, up to the arguments for ROS. What it prints goes to
    the file ``log``, or where this process prints. ``environment`` replaces this process's own.
    """
    command = [sys.executable, "-m", *module.split(), "--ros-args", "-r", f"__ns:={namespace}"]
    for name, value in (parameters or {}).items():
        command += ["-p", f"{name}:={_yaml(value)}"]
    for name, target in (remappings or {}).items():
        command += ["-r", f"{name}:={target}"]
    variables = dict(os.environ if environment is None else environment)
    output = log.open("w") if log else None
    try:
        process = subprocess.Popen(
            command, stdout=output, stderr=subprocess.STDOUT if output else None, env=variables
        )
        try:
            yield process
        finally:
            stop(process)
    finally:
        if output:
            output.close()


def stop(process: subprocess.Popen, how: signal.Signals = signal.SIGINT) -> int:
    """Stop ``process`` and return its exit status; kill it if it takes more than five seconds."""
    if process.poll() is None:
        process.send_signal(how)
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def resident_bytes(process: subprocess.Popen) -> int:
    """Return the resident memory of ``process``."""
    fields = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _yaml(value: Any) -> str:
    return f"'{value}'" if isinstance(value, str) else str(value)
