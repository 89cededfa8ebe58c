"""A stand-in build that goes on until it is let through, and where a node finds it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

from stand_ins import DEVICE, copy_graph, make_host

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines import open as opening
from stereo_depth_ros.engines.tensorrt import obtain


def build_when_allowed(graph, output, *, report, cancelled, **others):
    """Build once GRAPH.go exists, or fail if its text says so; half a plan lies there meanwhile."""
    Path(output).write_bytes(b"half")
    Path(f"{graph}.pid").write_text(str(os.getpid()))
    while not (go := Path(f"{graph}.go")).exists():
        report(42.0, "waiting")
        if cancelled.wait(0.15):
            raise EngineError("stopped in the middle")
    if go.read_text() == "fail":
        raise EngineError("node Foo 'bar': no such thing")
    return copy_graph(graph, output, report=report, cancelled=cancelled, **others)


def let_through(graph, how="build"):
    """Let the build of ``graph`` finish, or "fail"."""
    Path(f"{graph}.go").write_text(how)


def builder_of(graph):
    """The process that builds ``graph``, None before there is one."""
    found = Path(f"{graph}.pid")
    return int(found.read_text()) if found.exists() and found.read_text() else None


def is_alive(pid):
    """Whether there is such a process, a zombie counting as one."""
    return Path(f"/proc/{pid}").exists()


def wait_for(condition, seconds=60.0):
    """Wait until ``condition`` holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def stand_in(folder, *, refused=(), work=build_when_allowed, patch=setattr, **changes):
    """Make this process believe in a GPU and in the TensorRTs that are not ``refused``.

    ``changes`` are those of the `Host`.
    """

    def this_host(cuda_backend, runtime_name):
        if runtime_name in refused:
            raise EngineError(f"no {runtime_name} here")
        return replace(make_host(folder), target=f"{work.__module__}:{work.__name__}", **changes)

    patch(opening, "find_device", lambda: DEVICE)
    patch(obtain, "this_host", this_host)
