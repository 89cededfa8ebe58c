"""A node process from its first moment to its end: signals, wrong arguments, faults at work."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from stereo_depth_ros.ros.tools.processes import NODE, SCENE_CAMERA

pytestmark = pytest.mark.ros

FROM_A_TIMER = """
import sys
from rclpy.node import Node
from stereo_depth_ros.ros.spin import run

class Faulty(Node):
    def __init__(self):
        super().__init__("faulty")
        self.create_timer(0.01, self.fail)

    def fail(self):
        raise ValueError("a fault of the program")

sys.exit(run(Faulty))
"""

BEFORE_ROS_LISTENS = """
import os, signal, sys
import rclpy
from rclpy.node import Node
from stereo_depth_ros.ros.spin import run

init = rclpy.init

def interrupted(**options):
    os.kill(os.getpid(), signal.{name})
    init(**options)

rclpy.init = interrupted
sys.exit(run(lambda: Node("early")))
"""

SWALLOWED = """
import os, signal, sys
import rclpy
from rclpy.node import Node
from stereo_depth_ros.ros.spin import run

init = rclpy.init

def interrupted(**options):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except BaseException:
        pass
    init(**options)

rclpy.init = interrupted
sys.exit(run(lambda: Node("early")))
"""

WHILE_IT_STARTS = """
import sys, threading
from rclpy.node import Node
from stereo_depth_ros.ros.spin import run

class Slow(Node):
    def start(self):
        print("starting", flush=True)
        threading.Event().wait(60)

    def destroy_node(self):
        print("destroyed", flush=True)
        super().destroy_node()

sys.exit(run(lambda: Slow("slow"), start=Slow.start))
"""


def wait_for(log: Path, text: str, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while text not in log.read_text():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.02)


def output_of(script: str) -> tuple[int, str]:
    child = subprocess.run(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    return child.returncode, child.stdout


@pytest.mark.parametrize("executable", [NODE, SCENE_CAMERA])
def test_an_interrupt_while_modules_load_ends_without_a_word(tmp_path, executable):
    # The first module that takes time, here for good.
    (tmp_path / "cv2.py").write_text("import time\nprint('loading', flush=True)\ntime.sleep(99)\n")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    log = tmp_path / "log"
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *executable.split()],
            stdout=output,
            stderr=output,
            env={**os.environ, "PYTHONPATH": path},
        )
    try:
        wait_for(log, "loading")
        child.send_signal(signal.SIGINT)
        assert child.wait(20) == 0
    finally:
        child.kill()
    assert log.read_text() == "loading\n"


@pytest.mark.parametrize(
    "script",
    [
        BEFORE_ROS_LISTENS.format(name="SIGINT"),
        BEFORE_ROS_LISTENS.format(name="SIGTERM"),
        SWALLOWED,
    ],
    ids=["interrupted", "terminated", "swallowed"],
)
def test_a_signal_before_ros_listens_is_not_lost(dds, script):
    assert output_of(script) == (0, "")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_long_start_and_the_node_is_destroyed(dds, tmp_path, number):
    log = tmp_path / "log"
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-c", WHILE_IT_STARTS], stdout=output, stderr=output
        )
    try:
        wait_for(log, "starting")
        child.send_signal(number)
        # Half of the start, and far less than it takes by itself.
        assert child.wait(30) == 0
    finally:
        child.kill()
    assert log.read_text().split() == ["starting", "destroyed"]


def test_a_fault_at_work_is_not_taken_for_one_of_the_start(dds):
    status, output = output_of(FROM_A_TIMER)
    assert status == 1
    assert "cannot start" not in output
    assert "Traceback" in output
    assert output.rstrip().endswith("ValueError: a fault of the program")


@pytest.mark.parametrize(
    ("arguments", "cause", "cure"),
    [
        (["--log-level", "blah"], "--log-level blah", "use debug, info, warn, error or fatal"),
        (["-r", "left/image_rect:=1bad"], "left/image_rect:=1bad", "no part begins with a digit"),
        (["-r", "left/image_rect:=a//b"], "left/image_rect:=a//b", "names hold letters, digits"),
        (["-r", "points:=/a-b"], "points:=/a-b", "names hold letters, digits, _ and /"),
        (["-r", "__ns:=/1bad"], "__ns:=/1bad", "no part begins with a digit"),
        (["--params-file", "/no/such.yaml"], "/no/such.yaml", "compare with config/stereo.yaml"),
        (["--params-file", "malformed.yaml"], "malformed.yaml", "Error at line 1"),
        (["-p", "max_depth:=10"], "max_depth is 10", "write 10.0"),
        (
            ["--params-file", "all.yaml", "--params-file", "mine.yaml"],
            "mine.yaml: max_depth is '10.0'",
            "without quotes",
        ),
        (["-p", "queue_size:=0"], "queue_size is 0", "must be from 1 to 100"),
        (["--nonsense"], "--nonsense", "unknown arguments after --ros-args"),
    ],
    ids=lambda value: " ".join(value)[-20:] if isinstance(value, list) else "",
)
def test_a_wrong_argument_ends_in_one_line_of_cause_and_cure(tmp_path, arguments, cause, cure):
    (tmp_path / "malformed.yaml").write_text("a: [1\n")
    (tmp_path / "all.yaml").write_text("/**: {ros__parameters: {max_depth: 50.0}}")
    (tmp_path / "mine.yaml").write_text("/**: {ros__parameters: {max_depth: '10.0'}}")
    child = subprocess.run(
        [sys.executable, "-m", *NODE.split(), "--ros-args", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
    )
    assert child.returncode == 1
    # rcl has a line of its own for some.
    own = re.fullmatch(r"(?:[^\n]+ \[rcl\]: [^\n]+\n)*(cannot start: [^\n]+)\n", child.stderr)
    assert own, child.stderr
    assert cause in own[1]
    assert cure in own[1]
    assert "/src/" not in own[1]


def test_parameters_that_reach_nothing_are_named_and_those_that_do_are_not(dds, tmp_path):
    (tmp_path / "other.yaml").write_text("stereo_depth_node: {ros__parameters: {max_depth: 7.0}}")
    (tmp_path / "own.yaml").write_text("/**: {ros__parameters: {max_dept: 7.0, min_depth: 0.2}}")
    log = tmp_path / "log"
    files = [option for name in ("other", "own") for option in ("--params-file", f"{name}.yaml")]
    files += ["-p", "model:=sgbm"]
    with log.open("w") as output:
        child = subprocess.Popen(
            [sys.executable, "-m", *NODE.split(), "--ros-args", "-r", "__ns:=/typos", *files],
            stdout=output,
            stderr=output,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
        )
    try:
        wait_for(log, "engine: sgbm")
    finally:
        child.kill()
    warnings = [line for line in log.read_text().splitlines() if "[WARN]" in line]
    assert len(warnings) == 2
    assert "other.yaml sets nothing here" in warnings[0]
    assert "'/typos/stereo_depth_node:'" in warnings[0]
    assert "max_dept is not known and ignored; did you mean max_depth?" in warnings[1]
