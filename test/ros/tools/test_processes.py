"""Child processes end with the process that runs them, however that ends."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import yaml

from stereo_depth_ros.ros.tools.processes import (
    interrupt_when_ended,
    make_unique_namespace,
    run_process,
)

PARENT = """
import time
from contextlib import suppress
from stereo_depth_ros.ros.tools.processes import interrupt_when_ended, run_process
try:
    with interrupt_when_ended(), run_process("sleeper") as child:
        print(child.pid, flush=True)
        time.sleep(120)
except KeyboardInterrupt:
    raise SystemExit(130)
"""


def is_running(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return False
    return state != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux")
@pytest.mark.parametrize(
    ("ending", "status"),
    [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 130), (signal.SIGHUP, 130)],
)
def test_a_child_ends_with_its_parent(tmp_path, ending, status):
    (tmp_path / "sleeper.py").write_text("import time\ntime.sleep(120)\n")
    path = os.pathsep.join([str(tmp_path), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    child = int(parent.stdout.readline())
    try:
        assert is_running(child)
        parent.send_signal(ending)
        parent.wait(30)
        deadline = time.monotonic() + 30
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not is_running(child)
        assert parent.returncode == status
    finally:
        parent.kill()
        parent.communicate()
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def test_a_signal_that_a_callback_swallows_counts_at_the_end_of_the_block():
    with pytest.raises(KeyboardInterrupt), interrupt_when_ended(), suppress(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_handlers_are_restored_and_what_is_ignored_stays_ignored():
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    terminate = signal.getsignal(signal.SIGTERM)
    try:
        with interrupt_when_ended():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not terminate
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGHUP, before)


def test_no_two_runs_share_a_namespace():
    first, second = (make_unique_namespace("stereo_depth_demo") for _ in range(2))

    assert first.startswith("/stereo_depth_demo_")
    assert first != second


def test_value_of_a_parameter_may_hold_an_apostrophe(tmp_path):
    (tmp_path / "echo_arguments.py").write_text("import sys; print(sys.argv)")
    log = tmp_path / "log"
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, "PYTHONPATH": path}

    with run_process(
        "echo_arguments", {"left_file": "it's.png"}, environment=environment, log=log
    ) as child:
        child.wait(30)

    arguments = ast.literal_eval(log.read_text())
    (given,) = (a for a in arguments if a.startswith("left_file:="))
    assert yaml.safe_load(given.removeprefix("left_file:=")) == "it's.png"
