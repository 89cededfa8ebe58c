"""Every child here is a real one."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import stand_ins
from stand_ins import target

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled, run_in_child


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"


def wait_for(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_result_comes_back_whatever_the_child_prints():
    seen = []

    assert run_in_child(target(stand_ins.add), {"a": 2, "b": 3}, report=seen.append) == 5

    assert any(progress.step == "adding" and progress.percent == 50 for progress in seen)


def test_progress_arrives_while_the_child_works():
    seen = []

    run_in_child(target(stand_ins.tick), {"count": 5, "interval": 0.2}, report=seen.append)

    ticks = [p for p in seen if p.step.startswith("tick")]
    assert len(ticks) >= 3
    assert [p.seconds for p in ticks] == sorted(p.seconds for p in ticks)
    assert ticks[-1].seconds - ticks[0].seconds > 0.3


def test_time_is_told_where_the_child_says_nothing():
    seen = []

    run_in_child(target(stand_ins.tick), {"count": 1, "interval": 2.5}, report=seen.append)

    assert len([p for p in seen if p.step == "tick 0"]) >= 2


def test_error_of_the_child_is_ours():
    with pytest.raises(EngineError, match=r"^node Foo 'bar': no such thing; export it again$"):
        run_in_child(target(stand_ins.refuse), {})


def test_unexpected_error_of_the_child_is_named():
    with pytest.raises(EngineError, match="stumble failed: KeyError: 'absent'"):
        run_in_child(target(stand_ins.stumble), {})


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (stand_ins.crash, r"crashed \(SIGSEGV\).*the last words"),
        (stand_ins.exhaust, "was killed, most likely for lack of memory"),
        (stand_ins.leave, "ended with status 3"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_death_of_the_child_is_an_error_that_says_how(work, message):
    with pytest.raises(EngineError, match=message):
        run_in_child(target(work), {})


def test_child_that_does_not_start_is_given_up():
    with pytest.raises(EngineError, match="did not start within 0 s"):
        run_in_child(target(stand_ins.add), {"a": 1, "b": 2}, start_s=0.0)


def test_build_that_takes_too_long_is_given_up(tmp_path):
    pid = tmp_path / "pid"

    with pytest.raises(EngineError, match="gave up after 3 s"):
        run_in_child(target(stand_ins.never_end), {"output": str(pid)}, longest_s=3.0)

    assert not alive(int(pid.read_text()))


@pytest.mark.parametrize("work", [stand_ins.wait_until_cancelled, stand_ins.never_end])
def test_cancelling_ends_the_child_whether_or_not_it_listens(tmp_path, work):
    cancelled, output = threading.Event(), tmp_path / "plan"
    seen = []

    def report(progress):
        seen.append(progress)
        if output.exists():
            cancelled.set()

    started = time.monotonic()
    with pytest.raises(BuildCancelled):
        run_in_child(target(work), {"output": str(output)}, report=report, cancelled=cancelled)

    assert time.monotonic() - started < 15
    if work is stand_ins.never_end:
        assert not alive(int(output.read_text()))


def test_failure_of_the_report_ends_the_child(tmp_path):
    output = tmp_path / "pid"

    def report(progress):
        if output.exists() and output.read_text():
            raise RuntimeError("the reader is gone")

    with pytest.raises(RuntimeError, match="the reader is gone"):
        run_in_child(target(stand_ins.never_end), {"output": str(output)}, report=report)

    assert not alive(int(output.read_text()))


PARENT = """
import sys
sys.path[:0] = {path!r}
from stereo_depth_ros.engines.tensorrt.build_process import run_in_child
import stand_ins
run_in_child(stand_ins.target(stand_ins.never_end), {{"output": {output!r}}})
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=lambda how: how.name)
def test_child_goes_with_its_parent(tmp_path, how):
    output = tmp_path / "pid"
    code = PARENT.format(path=sys.path, output=str(output))
    parent = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.DEVNULL)
    wait_for(lambda: output.exists() and output.read_text())

    parent.send_signal(how)
    parent.wait(10)

    wait_for(lambda: not alive(int(output.read_text())), seconds=10)


def test_child_that_dies_in_the_middle_of_a_word_is_reported_as_a_crash():
    with pytest.raises(EngineError, match=r"the child process crashed \(SIGSEGV\)"):
        run_in_child(target(stand_ins.die_in_a_word), {})
