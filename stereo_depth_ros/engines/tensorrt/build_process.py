"""Work in a child process: its memory is freed whole, it can be stopped, and it can crash.

The child reads one JSON request from its standard input, whose end means "stop" whether the parent
closed it or died, and writes JSON lines: progress, then a result or an error.
"""

from __future__ import annotations

import importlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.progress import (
    BuildProgress,
    ProgressCallback,
    ignore_progress,
)

START_S = 120.0
LONGEST_S = 12 * 3600.0

_GRACE_S = 2.0
_TICK_S = 1.0
_POLL_S = 0.1


class BuildCancelled(EngineError):
    """The build was stopped because it was asked to stop."""


def run_in_child(
    target: str,
    arguments: Mapping[str, Any],
    *,
    report: ProgressCallback = ignore_progress,
    cancelled: threading.Event | None = None,
    start_s: float = START_S,
    longest_s: float = LONGEST_S,
) -> Any:
    """Call ``target`` ("module:function") with ``arguments`` in a child process; return its result.

    Arguments and result are what JSON can hold. The function is given ``report(percent, step)``
    and the event ``cancelled`` besides. ``report`` here is called with every step and each second,
    from this thread. The child is gone when this returns or raises, whatever happens.

    Raises
    ------
    BuildCancelled
        When ``cancelled`` was set.
    EngineError
        When the function fails, the child crashes, does not start within ``start_s`` seconds or
        then takes longer than ``longest_s``.
    """
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [sys.executable, "-c", f"from {__name__} import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env=_environment(),
            # So that a SIGINT of the terminal reaches the parent alone, which stops the child.
            start_new_session=True,
        )
        try:
            assert process.stdin is not None
            process.stdin.write(json.dumps({"target": target, "arguments": arguments}).encode())
            process.stdin.write(b"\n")
            process.stdin.flush()
            answer = _follow(process, report, cancelled or threading.Event(), start_s, longest_s)
        except BrokenPipeError:
            answer = None
        finally:
            _stop(process)
        if answer is None:
            raise EngineError(_post_mortem(process.returncode, errors))
    if "error" in answer:
        raise EngineError(answer["error"])
    return answer["result"]


def _environment() -> dict[str, str]:
    # The child finds modules where this process does, and loads no kernel that it does not run.
    path = os.pathsep.join(entry for entry in sys.path if entry)
    return {**os.environ, "PYTHONPATH": path, "CUDA_MODULE_LOADING": "LAZY"}


def _follow(
    process: subprocess.Popen,
    report: ProgressCallback,
    cancelled: threading.Event,
    start_s: float,
    longest_s: float,
) -> dict[str, Any] | None:
    """Pass on progress until the child answers; None where it ends without an answer."""
    lines: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
    threading.Thread(target=_collect, args=(process.stdout, lines), daemon=True).start()
    started = last = time.monotonic()
    heard: float | None = None
    percent: float | None = None
    step = "starting"
    while True:
        try:
            line = lines.get(timeout=_POLL_S)
        except queue.Empty:
            line = b""
        now = time.monotonic()
        if cancelled.is_set():
            raise BuildCancelled("cancelled")
        if line is None:
            return None
        message = _message(line)
        if "result" in message or "error" in message:
            return message
        if message and heard is None:
            heard = now
        if heard is None and now - started > start_s:
            raise EngineError(f"the child process did not start within {start_s:g} s; try again")
        if heard is not None and now - heard > longest_s:
            raise EngineError(
                f"gave up after {longest_s:g} s; build with a lower level or smaller images"
            )
        if message or now - last > _TICK_S:
            percent = message.get("percent") or percent
            step = message.get("step", step)
            last = now
            report(BuildProgress(percent, now - started, step, has_begun=True))


def _message(line: bytes) -> dict[str, Any]:
    """Return the message of ``line``, an empty one where the child died in the middle of it."""
    try:
        return json.loads(line) if line else {}
    except ValueError:
        return {}


def _collect(stream: IO[bytes], lines: queue.SimpleQueue[bytes | None]) -> None:
    for line in stream:
        lines.put(line)
    lines.put(None)


def _stop(process: subprocess.Popen) -> None:
    """Ask the child to stop, then make it; either way it leaves nothing behind."""
    assert process.stdin is not None
    with suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(_GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _post_mortem(status: int, errors: IO[bytes]) -> str:
    errors.seek(0)
    lines = [line.strip() for line in errors.read().decode(errors="replace").splitlines()]
    said = "; ".join([line for line in lines if line][-3:])
    if status == -signal.SIGKILL:
        end = (
            "was killed, most likely for lack of memory: stop other programs or lower the workspace"
        )
    elif status < 0:
        end = f"crashed ({signal.Signals(-status).name})"
    else:
        end = f"ended with status {status}"
    return f"the child process {end}" + (f"; its last words: {said}" if said else "")


def main() -> None:
    """Be the child."""
    # What libraries print must not end up between the messages.
    channel = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    with suppress(OSError):
        # Where memory runs out, this process goes and not the node.
        Path("/proc/self/oom_score_adj").write_text("500")
    cancelled = threading.Event()
    request = json.loads(sys.stdin.readline())
    send = _sender(channel)
    send({"step": "starting"})
    threading.Thread(target=_obey, args=(cancelled,), daemon=True).start()
    module, _, function = request["target"].partition(":")
    try:
        work = getattr(importlib.import_module(module), function)
        result = work(**request["arguments"], report=_reporter(send), cancelled=cancelled)
        send({"result": result})
    except EngineError as error:
        send({"error": str(error)})
    except Exception as error:
        send({"error": f"{function} failed: {type(error).__name__}: {error}"})


def _sender(channel: IO[str]) -> Callable[[dict[str, Any]], None]:
    lock = threading.Lock()

    def send(message: dict[str, Any]) -> None:
        # A broken pipe says that the parent is gone; `_obey` then ends this process.
        with lock, suppress(BrokenPipeError):
            channel.write(json.dumps(message) + "\n")

    return send


def _reporter(send: Callable[[dict[str, Any]], None]) -> Callable[[float | None, str], None]:
    last = 0.0

    def report(percent: float | None, step: str) -> None:
        nonlocal last
        # TensorRT reports thousands of steps per second, and nobody reads so fast.
        if time.monotonic() - last > _POLL_S:
            last = time.monotonic()
            send({"percent": percent, "step": step})

    return report


def _obey(cancelled: threading.Event) -> None:
    """End this process soon after its standard input does."""
    # Not by sys.stdin, whose lock a waiting thread would hold while the interpreter ends.
    while os.read(0, 1024):
        pass
    cancelled.set()
    time.sleep(_GRACE_S)
    os._exit(1)
