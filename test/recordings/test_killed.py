"""Runs that end too early, and go on where they were."""

from __future__ import annotations

import errno
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import stereo_depth_ros

ROOT = Path(stereo_depth_ros.__file__).parents[1]
COMMAND = (sys.executable, "-m", "stereo_depth_ros.cli.main", "process")


def start(*arguments: object) -> subprocess.Popen:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments), "--model", "sgbm"],
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def count_done(out: Path) -> int:
    journal = out / "frames.jsonl"
    return max(0, journal.read_text().count("\n") - 1) if journal.exists() else 0


def wait_for(process: subprocess.Popen, out: Path, count: int) -> None:
    """Wait until ``count`` pairs are done or the process has ended."""
    deadline = time.monotonic() + 60
    while count_done(out) < count and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def contents(folder: Path) -> dict[str, bytes]:
    """All results; the records hold times, and the report says how long it took."""
    names = {"frames.jsonl", "report.html"}
    files = [path for path in folder.rglob("*") if path.is_file() and path.name not in names]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def read_records(out: Path) -> list[tuple]:
    import json

    lines = [json.loads(line) for line in (out / "frames.jsonl").read_text().splitlines()]
    return [(r["name"], r["stamp_ns"], r["skipped"], r["valid"], r["size"]) for r in lines[1:-1]]


@pytest.mark.parametrize(
    ("form", "workers"),
    [
        ("bag", 1),
        pytest.param("bag", 2, marks=pytest.mark.slow),
        pytest.param("folder", 1, marks=pytest.mark.slow),
        pytest.param("folder", 2, marks=pytest.mark.slow),
    ],
)
def test_killed_at_random_moments_the_results_are_those_of_one_run(
    views, tmp_path, monkeypatch, form, workers
):
    pytest.importorskip("rosbags", reason="needs rosbags")
    from bags import list_events, write_bag

    source = write_bag(tmp_path / "in", list_events(views * 4))
    options = ("--workers", workers, "--to", form)
    whole, out = tmp_path / "whole" / "out", tmp_path / "out"
    process = start(source, "-o", whole, *options)
    assert process.wait(120) == 0, process.stderr.read()

    dice = random.Random(f"{form} {workers}")
    done = 0
    for _ in range(3):
        process = start(source, "-o", out, *options)
        wait_for(process, out, min(done + dice.randrange(1, 9), 47))
        time.sleep(dice.random() * 0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        # What was done stays done.
        assert count_done(out) >= done
        done = count_done(out)
    process = start(source, "-o", out, *options)
    printed, errors = process.communicate(timeout=120)

    assert process.returncode == 0, errors
    assert "done before: " in printed or done >= 48
    assert contents(out) == contents(whole)
    assert read_records(out) == read_records(whole)
    assert not (out / ".work").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_says_how_to_go_on(views, tmp_path, folders, workers):
    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    process = start(*arguments, "--workers", workers)
    wait_for(process, tmp_path / "out", 1)
    # As a terminal does, to all processes of the command.
    os.killpg(process.pid, signal.SIGINT)
    printed, errors = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "the same command goes on from there" in errors
    assert "Traceback" not in errors
    done = count_done(tmp_path / "out")
    assert 1 <= done < 12

    process = start(*arguments)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert f"done before: {done} pair" in printed


def test_workers_end_with_the_process_that_was_killed(views, tmp_path, folders):
    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    process = start(*arguments, "--workers", 2)
    wait_for(process, tmp_path / "out", 1)
    group = os.getpgid(process.pid)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()

    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("workers live on")


def test_two_runs_into_one_target_at_once_are_refused(views, tmp_path, folders):
    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    first = start(*arguments, "--workers", 2)
    wait_for(first, tmp_path / "out", 1)
    os.kill(first.pid, signal.SIGSTOP)
    second = start(*arguments)
    _, errors = second.communicate(timeout=60)
    os.kill(first.pid, signal.SIGCONT)

    assert second.returncode == 1
    assert "is in use by a run" in errors
    assert first.wait(60) == 0


def test_results_that_a_power_cut_took_are_made_again(run, views, tmp_path, folders):
    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    run(*arguments)
    before = contents(tmp_path / "out")
    journal = tmp_path / "out/frames.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:9]) + '{"name": "00')
    (tmp_path / "out/depth/0005.npy").write_bytes(b"")

    outcome = run(*arguments)

    assert outcome.status == 0
    assert "done before: 5 pairs" in outcome.out
    assert contents(tmp_path / "out") == before


def list_workers(pid: int) -> list[int]:
    """Processes that match: the children that have imported the pool."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def test_a_worker_that_dies_ends_the_run_with_a_cure(views, tmp_path, folders):
    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    process = start(*arguments, "--workers", 2)
    wait_for(process, tmp_path / "out", 1)
    os.kill(list_workers(process.pid)[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=60)

    assert process.returncode == 1
    assert "a worker process died, as when memory runs out" in errors
    assert "Traceback" not in errors
    process = start(*arguments)
    printed, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "12 pairs with depth, 0 skipped" in printed


@pytest.mark.parametrize(
    ("code", "cure"),
    [
        (errno.ENOSPC, "free some, and the same command goes on from there"),
        (errno.EACCES, "mend the permissions, or write elsewhere by -o"),
        (errno.EROFS, "write elsewhere by -o"),
    ],
)
@pytest.mark.parametrize("name", ["0003.npy", "frames.jsonl"])
def test_a_file_that_cannot_be_written_is_named_with_the_cure(
    run, tmp_path, folders, monkeypatch, code, cure, name
):
    from stereo_depth_ros.recordings import frame_files, record

    arguments = (folders.left, folders.right, "--calib", folders.calib, "-o", tmp_path / "out")
    refused = tmp_path / "out" / ("depth" if name.endswith("npy") else "") / name
    error = OSError(code, os.strerror(code))

    def replace(source, target, move=os.replace):
        if Path(target) == refused:
            raise error
        move(source, target)

    def write_text(path, content):
        raise error

    with monkeypatch.context() as patch:
        if refused.suffix == ".npy":
            patch.setattr(frame_files.os, "replace", replace)
        else:
            patch.setattr(record, "write_text", write_text)
        outcome = run(*arguments)

    assert outcome.status == 1
    line = f"stereo-depth process: {refused} was not written: {os.strerror(code)}; {cure}\n"
    assert outcome.err.endswith(line)
    outcome = run(*arguments)
    assert outcome.status == 0, outcome.err
    assert ("done before: 3 pairs" in outcome.out) == (refused.suffix == ".npy")
    assert len(list((tmp_path / "out/depth").iterdir())) == 12
