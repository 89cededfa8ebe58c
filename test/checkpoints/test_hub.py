"""Fetching from a Hub that runs here."""

import hashlib
import http.server
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from stereo_depth_ros.checkpoints import CheckpointError
from stereo_depth_ros.checkpoints.hub import fetch, find, list_published
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.networks import s2m2

CONTENT = bytes(range(256)) * 100_000  # 25.6 MB


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one content as every file; the first transfer may stall or break off half way."""

    asked_for: list[str]
    stalls: bool
    breaks_off: int  # so many transfers
    resumes: bool
    tells_size: bool  # before the transfer

    def do_HEAD(self):
        self._head(200, len(CONTENT) if self.tells_size else None)

    def do_GET(self):
        asked = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        start = asked if self.resumes else 0
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        self.asked_for.append(f"{self.path} from {asked}")
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self._head(206 if start else 200, len(CONTENT) - start)
        if self.stalls and len(self.asked_for) == 1:
            self.wfile.write(CONTENT[: len(CONTENT) // 2])
            self.rfile.read(1)  # until the client goes away
            return
        if len(self.asked_for) <= self.breaks_off:
            self.wfile.write(CONTENT[start : start + 1_000_000])
            return
        self.wfile.write(CONTENT[start:])

    def _head(self, status, length):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *arguments):
        pass


STEADY = {"stalls": False, "breaks_off": 0, "resumes": True, "tells_size": True}


@pytest.fixture
def hub():
    """A Hub of its own for each test, with the requests that it saw."""
    pytest.importorskip("huggingface_hub")
    handler = type("OneHub", (Hub,), {"asked_for": [], **STEADY})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def begin(hub, folder, name="s2m2/s", sha256=None):
    """Start `stereo-depth models get` in a process of its own, the file known by ``sha256``."""
    code = f"""
import dataclasses, sys
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.networks import s2m2
if {sha256!r} is not None:
    s2m2.SOURCES["s"] = dataclasses.replace(s2m2.SOURCES["s"], sha256={sha256!r})
sys.exit(main(["models", "get", {name!r}, "-o", {str(folder)!r}]))
"""
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "HF_ENDPOINT": hub.url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def get(hub, monkeypatch, capfd):
    """Run the verb in this process, the file known by ``sha256``: status, output and errors."""

    def run(folder, name="s2m2/s", sha256=None):
        if sha256 is not None:
            monkeypatch.setitem(s2m2.SOURCES, "s", replace(s2m2.SOURCES["s"], sha256=sha256))
        monkeypatch.setattr(
            "huggingface_hub.hf_hub_url",
            lambda *names: f"{hub.url}/{names[0]}/resolve/main/{names[1]}",
        )
        return main(["models", "get", name, "-o", str(folder)]), *capfd.readouterr()

    return run


RIGHT = hashlib.sha256(CONTENT).hexdigest()


def test_file_is_fetched_verified_and_what_follows_is_said(hub, tmp_path):
    process = begin(hub, tmp_path, sha256=RIGHT)
    out, err = process.communicate(timeout=300)

    assert process.returncode == 0, err
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    assert hub.asked_for == ["/minimok/s2m2/resolve/main/CH128NTR1.pth from 0"]
    assert "CC-BY-NC-4.0; NOT FOR COMMERCIAL USE" in out
    assert "next: stereo-depth import" in out
    assert "not verified" not in out


def test_file_that_is_there_is_not_fetched_again(hub, get, tmp_path):
    (tmp_path / "CH128NTR1.pth").write_bytes(CONTENT)

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 0, err
    assert hub.asked_for == []


def test_file_without_a_known_hash_is_said_not_to_be_verified(hub, get, tmp_path):
    status, out, err = get(tmp_path, sha256="")

    assert status == 0, err
    assert "not verified: its hash is not known" in out


def test_interrupted_transfer_is_taken_up_again_by_the_next_call(hub, get, tmp_path):
    hub.stalls = True
    process = begin(hub, tmp_path, sha256=RIGHT)
    deadline = time.monotonic() + 300
    while not any(part.stat().st_size for part in tmp_path.glob("*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 130
    assert err.splitlines()[-1] == "stereo-depth models: interrupted"

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 0, err
    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    first, second = (int(request.rpartition(" ")[2]) for request in hub.asked_for)
    assert first == 0
    assert second > 0, "it began again"


@pytest.mark.parametrize("resumes", [True, False], ids=["resumes", "begins_anew"])
def test_transfer_that_breaks_off_is_taken_up_in_the_same_call(resumes, hub, get, tmp_path):
    hub.breaks_off, hub.resumes = 2, resumes

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 0, err
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    starts = [int(request.rpartition(" ")[2]) for request in hub.asked_for]
    assert starts == [0, 1_000_000, 2_000_000 if resumes else 1_000_000]


@pytest.mark.parametrize(
    "break_", [{"breaks_off": 1}, {"stalls": True}], ids=lambda b: next(iter(b))
)
def test_transfer_of_unknown_size_that_breaks_off_is_not_taken_for_whole(
    break_, hub, get, tmp_path, monkeypatch
):
    monkeypatch.setattr("stereo_depth_ros.checkpoints.hub._TIMEOUT_S", 1.0)
    hub.tells_size = False
    for name, value in break_.items():
        setattr(hub, name, value)

    status, _, err = get(tmp_path, sha256="")

    assert status == 0, err
    assert len(hub.asked_for) == 2
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT


def test_transfer_of_unknown_size_that_keeps_breaking_off_is_named(hub, get, tmp_path):
    hub.tells_size, hub.breaks_off = False, 5

    status, _, err = get(tmp_path, sha256="")

    assert status == 1
    assert f"it broke off {len(CONTENT) - 5_000_000} bytes before its end; try again" in err
    assert not (tmp_path / "CH128NTR1.pth").exists()


def test_whole_transfer_of_unknown_size_that_cannot_be_continued_begins_anew(hub, get, tmp_path):
    hub.tells_size = False
    (tmp_path / f"CH128NTR1.pth.{RIGHT[:12]}.partial").write_bytes(CONTENT)

    status, _, err = get(tmp_path, sha256="")

    assert status == 0, err
    starts = [int(request.rpartition(" ")[2]) for request in hub.asked_for]
    assert starts == [len(CONTENT), 0]
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT


def test_second_fetch_of_a_file_at_once_is_refused_and_does_not_touch_it(hub, get, tmp_path):
    hub.stalls = True
    process = begin(hub, tmp_path, sha256=RIGHT)
    deadline = time.monotonic() + 300
    while not any(part.stat().st_size for part in tmp_path.glob("*.partial")):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 1
    assert err.splitlines()[-1] == (
        f"stereo-depth models: {tmp_path / 'CH128NTR1.pth'} is being fetched by another process; "
        "wait for that one, or stop it and try again"
    )
    assert len(hub.asked_for) == 1
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    status, _, err = get(tmp_path, sha256=RIGHT)
    assert status == 0, err
    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]


def test_transfer_that_keeps_breaking_off_is_named_and_kept_for_the_next_call(hub, get, tmp_path):
    hub.breaks_off = 5

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 1
    assert err.splitlines()[-1].startswith(
        "stereo-depth models: cannot fetch CH128NTR1.pth from minimok/s2m2: it broke off after "
        f"5000000 of {len(CONTENT)} bytes; try again"
    )
    status, _, err = get(tmp_path, sha256=RIGHT)
    assert status == 0, err
    assert hub.asked_for[-1].endswith("from 5000000")


def test_transfer_that_ended_just_before_its_last_step_needs_no_other(hub, get, tmp_path):
    (tmp_path / f"CH128NTR1.pth.{RIGHT[:12]}.partial").write_bytes(CONTENT)

    status, _, err = get(tmp_path, sha256=RIGHT)

    assert status == 0, err
    assert hub.asked_for == []
    assert [file.name for file in tmp_path.iterdir()] == ["CH128NTR1.pth"]


def test_file_that_is_not_the_published_one_is_named_and_not_kept(hub, get, tmp_path):
    for _ in range(2):
        status, _, err = get(tmp_path, name="lite_any_stereo/las2_s")

        assert status == 1
        assert err.splitlines()[-1].startswith("stereo-depth models: ")
        assert RIGHT[:12] in err
        assert find("lite_any_stereo/las2_s").sha256[:12] in err
        assert not list(tmp_path.iterdir())
    assert len(hub.asked_for) == 2


def test_hub_that_does_not_answer_leaves_the_link(hub, get, tmp_path):
    hub.url = "http://127.0.0.1:9"

    status, _, err = get(tmp_path)

    assert status == 1
    assert "https://huggingface.co/minimok/s2m2 by hand" in err


def test_missing_client_is_named_with_what_to_do_instead(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(CheckpointError, match=r"pip install huggingface_hub, or .* CH128NTR1\.pth"):
        fetch(find("s2m2/s"), tmp_path)


def test_every_published_file_says_where_it_is_and_on_what_terms():
    for name, source in list_published().items():
        assert source.url.startswith("https://"), name
        assert source.licence, name
        assert not source.hub or source.file, name


def test_network_alone_means_its_first_file():
    assert find("s2m2") == find("s2m2/s")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(CheckpointError, match=r"no published weights 's3m3'; there are .*s2m2/xl"):
        find("s3m3")
