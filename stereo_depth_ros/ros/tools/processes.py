"""Run the package's nodes as processes of their own, as a launch file would, without launch."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

NODE = "stereo_depth_ros.ros.start stereo_depth_node"
SCENE_CAMERA = "stereo_depth_ros.ros.start scene_camera"

_PR_SET_PDEATHSIG = 1
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def make_unique_namespace(name: str) -> str:
    """Return a namespace that starts with ``name`` and that no other run on the network uses."""
    return f"/{name}_{uuid.uuid4().hex[:8]}"


@contextmanager
def interrupt_when_ended() -> Iterator[None]:
    """Raise KeyboardInterrupt on SIGTERM and SIGHUP while the block runs, in the main thread.

    Only the first of them counts, so that what the block cleans up is cleaned up whole. One that
    the process ignores, as SIGHUP under nohup, stays ignored. At the latest it is raised at the end
    of the block, as Python drops what is raised in callbacks of objects that are being collected.
    """
    before = {one: signal.getsignal(one) for one in _ENDING}
    ending = [one for one, handler in before.items() if handler is not signal.SIG_IGN]

    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for one in ending:
            signal.signal(one, signal.SIG_IGN)
        raise KeyboardInterrupt

    for one in ending:
        signal.signal(one, interrupt)
    try:
        yield
        if received:
            raise KeyboardInterrupt
    finally:
        for one in ending:
            signal.signal(one, before[one])


@contextmanager
def run_process(
    module: str,
    parameters: Mapping[str, Any] | None = None,
    namespace: str = "/",
    remappings: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
    log: Path | None = None,
) -> Iterator[subprocess.Popen]:
    """Run ``module`` (`NODE` or `SCENE_CAMERA`) until the block ends, then stop it by SIGINT.

    On Linux it also ends, by SIGTERM, when this process is killed before the block ends.
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
            command,
            stdout=output,
            stderr=subprocess.STDOUT if output else None,
            env=variables,
            preexec_fn=_end_with_parent(),
        )
        try:
            yield process
        finally:
            stop(process)
    finally:
        if output:
            output.close()


def _end_with_parent() -> Callable[[], None] | None:
    """Return what a child calls to be sent SIGTERM when this process ends; None off Linux."""
    if not sys.platform.startswith("linux"):
        return None
    # Looked up here, as little is safe between fork and exec.
    prctl = ctypes.CDLL(None).prctl
    parent = os.getpid()

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        if os.getppid() != parent:
            # The parent ended before it could be watched.
            os._exit(1)

    return prepare


def stop(process: subprocess.Popen, number: signal.Signals = signal.SIGINT) -> int:
    """Stop ``process`` and return its exit status; kill it if it takes more than five seconds."""
    if process.poll() is None:
        process.send_signal(number)
    try:
        return process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def measure_resident_bytes(process: subprocess.Popen) -> int:
    """Return the resident memory of ``process``."""
    fields = Path(f"/proc/{process.pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


def _yaml(value: Any) -> str:
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else str(value)
