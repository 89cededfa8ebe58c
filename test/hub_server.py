"""A Hugging Face Hub that runs here, over real HTTP."""

from __future__ import annotations

import hashlib
import http.server
import threading
from contextlib import contextmanager

CONTENT = bytes(range(256)) * 100_000  # 25.6 MB


class Hub(http.server.BaseHTTPRequestHandler):
    """Serves one content as every file; the first transfer may stall or break off half way."""

    url: str
    content: bytes
    sha256: str  # of it
    asked_for: list[str]
    stalls: bool
    breaks_off: int  # so many transfers
    resumes: bool
    tells_size: bool  # before the transfer

    def do_HEAD(self):
        self._head(200, len(self.content) if self.tells_size else None)

    def do_GET(self):
        asked = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        start = asked if self.resumes else 0
        if "/resolve/" not in self.path:
            self.send_error(404)
            return
        self.asked_for.append(f"{self.path} from {asked}")
        if start >= len(self.content):
            self.send_error(416)
            return
        self._head(206 if start else 200, len(self.content) - start)
        if self.stalls and len(self.asked_for) == 1:
            self.wfile.write(self.content[: len(self.content) // 2])
            self.rfile.read(1)  # until the client goes away
            return
        if len(self.asked_for) <= self.breaks_off:
            self.wfile.write(self.content[start : start + 1_000_000])
            return
        self.wfile.write(self.content[start:])

    def _head(self, status, length):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.send_header("ETag", f'"{self.sha256}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.send_header("Accept-Ranges", "bytes")
        self.end_headers()

    def log_message(self, *arguments):
        pass


@contextmanager
def serve_hub(content=CONTENT):
    """Run a Hub; yields its class, on which its faults are set and its requests are listed."""
    steady = {"stalls": False, "breaks_off": 0, "resumes": True, "tells_size": True}
    sha256 = hashlib.sha256(content).hexdigest()
    of_content = {"asked_for": [], "content": content, "sha256": sha256}
    handler = type("OneHub", (Hub,), {**of_content, **steady})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield handler
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
