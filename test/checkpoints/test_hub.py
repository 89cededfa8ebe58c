"""Fetching from a Hub that runs here."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest
from hub_server import CONTENT, serve_hub

from stereo_depth_ros.checkpoints import CheckpointError
from stereo_depth_ros.checkpoints import hub as fetching
from stereo_depth_ros.published import PUBLISHED

RIGHT = hashlib.sha256(CONTENT).hexdigest()
SOURCE = replace(PUBLISHED["s2m2_s"], sha256=RIGHT)


@pytest.fixture
def hub():
    """A Hub of its own for each test, with the requests that it saw."""
    pytest.importorskip("huggingface_hub")
    with serve_hub() as served:
        yield served


def begin(hub, folder):
    """Start a fetch in a process of its own."""
    code = f"""
import dataclasses, pathlib
from stereo_depth_ros.checkpoints.hub import fetch
from stereo_depth_ros.published import PUBLISHED
fetch(dataclasses.replace(PUBLISHED["s2m2_s"], sha256={RIGHT!r}), pathlib.Path({str(folder)!r}))
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": hub.url},
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 300
    while hub.stalls and not any(part.stat().st_size for part in folder.glob("*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return process


@pytest.fixture
def fetch(hub, monkeypatch):
    """Fetch in this process; the file is not known to be published where ``sha256`` is empty."""

    def run(folder, sha256=RIGHT):
        monkeypatch.setattr(
            "huggingface_hub.hf_hub_url",
            lambda *names: f"{hub.url}/{names[0]}/resolve/main/{names[1]}",
        )
        return fetching.fetch(replace(SOURCE, sha256=sha256), folder)

    return run


def starts_of(hub):
    return [int(request.rpartition(" ")[2]) for request in hub.asked_for]


def test_file_is_fetched_and_verified(hub, tmp_path):
    process = begin(hub, tmp_path)
    _, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    assert hub.asked_for == ["/minimok/s2m2/resolve/main/CH128NTR1.pth from 0"]


def test_file_that_is_there_is_not_fetched_again(hub, fetch, tmp_path):
    (tmp_path / "CH128NTR1.pth").write_bytes(CONTENT)

    assert fetch(tmp_path) == tmp_path / "CH128NTR1.pth"

    assert hub.asked_for == []


def test_another_file_of_that_name_is_replaced(hub, fetch, tmp_path):
    (tmp_path / "CH128NTR1.pth").write_bytes(CONTENT[:-1])

    assert fetch(tmp_path).read_bytes() == CONTENT

    assert starts_of(hub) == [0]


def test_interrupted_transfer_is_taken_up_again_by_the_next_call(hub, fetch, tmp_path):
    hub.stalls = True
    process = begin(hub, tmp_path)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert process.returncode == -signal.SIGINT

    fetch(tmp_path)

    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    first, second = starts_of(hub)
    assert first == 0
    assert second > 0, "it began again"


@pytest.mark.parametrize("resumes", [True, False], ids=["resumes", "begins_anew"])
def test_transfer_that_breaks_off_is_taken_up_in_the_same_call(resumes, hub, fetch, tmp_path):
    hub.breaks_off, hub.resumes = 2, resumes

    assert fetch(tmp_path).read_bytes() == CONTENT

    assert starts_of(hub) == [0, 1_000_000, 2_000_000 if resumes else 1_000_000]


@pytest.mark.parametrize(
    "break_", [{"breaks_off": 1}, {"stalls": True}], ids=lambda b: next(iter(b))
)
def test_transfer_of_unknown_size_that_breaks_off_is_not_taken_for_whole(
    break_, hub, fetch, tmp_path, monkeypatch
):
    monkeypatch.setattr("stereo_depth_ros.checkpoints.hub._TIMEOUT_S", 1.0)
    hub.tells_size = False
    for name, value in break_.items():
        setattr(hub, name, value)

    assert fetch(tmp_path, sha256="").read_bytes() == CONTENT

    assert len(hub.asked_for) == 2


def test_transfer_of_unknown_size_that_keeps_breaking_off_is_named(hub, fetch, tmp_path):
    hub.tells_size, hub.breaks_off = False, 5

    with pytest.raises(CheckpointError) as refusal:
        fetch(tmp_path, sha256="")

    missing = len(CONTENT) - 5_000_000
    assert f"it broke off {missing} bytes before its end; try again" in str(refusal.value)
    assert not (tmp_path / "CH128NTR1.pth").exists()


def test_whole_transfer_of_unknown_size_that_cannot_be_continued_begins_anew(hub, fetch, tmp_path):
    hub.tells_size = False
    (tmp_path / f"CH128NTR1.pth.{RIGHT[:12]}.partial").write_bytes(CONTENT)

    assert fetch(tmp_path, sha256="").read_bytes() == CONTENT

    assert starts_of(hub) == [len(CONTENT), 0]


def test_second_fetch_of_a_file_at_once_is_refused_and_does_not_touch_it(hub, fetch, tmp_path):
    hub.stalls = True
    process = begin(hub, tmp_path)

    with pytest.raises(CheckpointError) as refusal:
        fetch(tmp_path)

    assert str(refusal.value) == (
        f"{tmp_path / 'CH128NTR1.pth'} is being fetched by another process; wait for that one, or "
        "stop it and try again"
    )
    assert len(hub.asked_for) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]


def test_transfer_that_keeps_breaking_off_is_named_and_kept_for_the_next_call(hub, fetch, tmp_path):
    hub.breaks_off = 5

    with pytest.raises(CheckpointError) as refusal:
        fetch(tmp_path)

    assert str(refusal.value).startswith(
        "cannot fetch CH128NTR1.pth from minimok/s2m2: it broke off after 5000000 of "
        f"{len(CONTENT)} bytes; try again"
    )
    assert fetch(tmp_path).read_bytes() == CONTENT
    assert starts_of(hub)[-1] == 5_000_000


def test_transfer_that_ended_just_before_its_last_step_needs_no_other(hub, fetch, tmp_path):
    (tmp_path / f"CH128NTR1.pth.{RIGHT[:12]}.partial").write_bytes(CONTENT)

    assert fetch(tmp_path).read_bytes() == CONTENT

    assert hub.asked_for == []
    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]


def test_file_that_is_not_the_published_one_is_named_and_not_kept(hub, fetch, tmp_path):
    for _ in range(2):
        with pytest.raises(CheckpointError) as refusal:
            fetch(tmp_path, sha256="ab" * 32)

        assert f"{RIGHT[:12]}…, not {'ab' * 6}…" in str(refusal.value)
        assert not list(tmp_path.iterdir())
    assert starts_of(hub) == [0, 0]


def test_hub_that_does_not_answer_leaves_the_link_on_one_line(hub, fetch, tmp_path):
    hub.url = "http://127.0.0.1:9"

    with pytest.raises(CheckpointError) as refusal:
        fetch(tmp_path)

    assert str(refusal.value).endswith(
        "or fetch it from https://huggingface.co/minimok/s2m2 by hand and give it by --file"
    )
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 400


def test_full_disk_is_the_error_of_the_system_and_what_there_is_room_for_stays(
    hub, fetch, tmp_path
):
    small = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(tmp_path)]
    if subprocess.run(small, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        with pytest.raises(OSError, match="No space left on device") as refusal:
            fetch(tmp_path)
        assert not isinstance(refusal.value, CheckpointError)
        (partial,) = tmp_path.iterdir()
        assert CONTENT.startswith(partial.read_bytes())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_missing_client_is_named_with_what_to_do_instead(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(CheckpointError, match=r"pip install huggingface_hub, or .* CH128NTR1\.pth"):
        fetching.fetch(SOURCE, tmp_path)
