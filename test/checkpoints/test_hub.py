"""Fetching from a Hub that runs here."""

import hashlib
import http.server
import os
import subprocess
import sys
import threading

import pytest

from stereo_depth_ros.checkpoints import CheckpointError
from stereo_depth_ros.checkpoints.hub import fetch, find, published

CONTENT = bytes(range(256)) * 100_000  # 25.6 MB; the client writes in pieces of 10 MB


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one content as every file; the first transfer breaks off half way."""

    asked_for: list[str]
    break_first: bool

    def do_HEAD(self):
        self._head(200, len(CONTENT))

    def do_GET(self):
        start = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        self.asked_for.append(f"{self.path} from {start}")
        self._head(206 if start else 200, len(CONTENT) - start)
        stop = len(CONTENT)
        if self.break_first and len(self.asked_for) == 1:
            stop = stop // 2
            self.close_connection = True
        self.wfile.write(CONTENT[start:stop])

    def _head(self, status, length):
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{hashlib.sha256(CONTENT).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub():
    """A Hub of its own for each test, with the requests that it saw."""
    pytest.importorskip("huggingface_hub")
    handler = type("OneHub", (Hub,), {"asked_for": [], "break_first": False})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    thread.join()
    server.server_close()


def get(hub, name, folder):
    """Run `stereo-depth models get`; the address of the Hub is read when its client is imported."""
    return subprocess.run(
        [sys.executable, "-m", "stereo_depth_ros.cli.main", "models", "get", name, "-o", folder],
        env={**os.environ, "HF_ENDPOINT": hub.url, "HF_HUB_DISABLE_XET": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_file_is_fetched_and_what_follows_is_said(hub, tmp_path):
    outcome = get(hub, "s2m2/s", tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    assert hub.asked_for == ["/minimok/s2m2/resolve/main/CH128NTR1.pth from 0"]
    assert "CC-BY-NC-4.0; NOT FOR COMMERCIAL USE" in outcome.stdout
    assert "next: stereo-depth import" in outcome.stdout


def test_transfer_that_broke_off_is_taken_up_again(hub, tmp_path):
    hub.break_first = True

    outcome = get(hub, "s2m2/s", tmp_path)
    if outcome.returncode:  # or else the client tried again by itself
        outcome = get(hub, "s2m2/s", tmp_path)

    assert outcome.returncode == 0, outcome.stderr
    assert (tmp_path / "CH128NTR1.pth").read_bytes() == CONTENT
    first, second = (int(request.rpartition(" ")[2]) for request in hub.asked_for)
    assert first == 0
    assert second > 0, "it began again"


def test_file_that_is_not_the_published_one_is_named_with_both_hashes(hub, tmp_path):
    outcome = get(hub, "lite_any_stereo/las2_s", tmp_path)

    assert outcome.returncode == 1
    assert outcome.stderr.splitlines()[-1].startswith("stereo-depth models: ")
    assert hashlib.sha256(CONTENT).hexdigest()[:12] in outcome.stderr
    assert find("lite_any_stereo/las2_s").sha256[:12] in outcome.stderr


@pytest.mark.slow
def test_hub_that_does_not_answer_leaves_the_link(hub, tmp_path):
    hub.url = "http://127.0.0.1:9"

    outcome = get(hub, "s2m2/s", tmp_path)

    assert outcome.returncode == 1
    assert "https://huggingface.co/minimok/s2m2 by hand" in outcome.stderr


def test_missing_client_is_named_with_what_to_do_instead(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)

    with pytest.raises(CheckpointError, match=r"pip install huggingface_hub, or .* CH128NTR1\.pth"):
        fetch(find("s2m2/s"))


def test_every_published_file_says_where_it_is_and_on_what_terms():
    for name, source in published().items():
        assert source.url.startswith("https://"), name
        assert source.licence, name
        assert not source.hub or source.file, name


def test_network_alone_means_its_first_file():
    assert find("s2m2") == find("s2m2/s")


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(CheckpointError, match=r"no published weights 's3m3'; there are .*s2m2/xl"):
        find("s3m3")
