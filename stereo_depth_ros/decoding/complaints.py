"""What decoders say of damaged images: taken off stderr, which they write to at camera rate."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import cv2

# As libjpeg (jerror.h) and libpng begin their lines.
_OF_DECODERS = (
    "Corrupt JPEG data: ",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
    "Invalid SOS parameters",
    "Unknown Adobe color transform",
    "Warning: unknown JFIF revision",
    "Application transferred too many scanlines",
    "libpng error: ",
    "libpng warning: ",
)
# OpenCV 4.5 prints exceptions besides, of several lines up to an empty one.
_EXCEPTION = "imdecode_('"
_OF_DAMAGE = (
    "Corrupt JPEG data: premature end",
    "Corrupt JPEG data: bad Huffman code",
    "Corrupt JPEG data: bad arithmetic code",
    "Corrupt JPEG data: found marker",
    "Premature end of JPEG file",
    "Inconsistent progression sequence",
)
_MAX_BYTES = 1 << 16
_LOCK = threading.Lock()


@contextmanager
def collect_complaints() -> Iterator[list[str]]:
    """Keep OpenCV and its decoders off stderr; the list holds their lines afterwards.

    libjpeg and libpng write to file descriptor 2 itself, so that it leads into memory meanwhile.
    What other threads write there follows at the end.
    """
    complaints: list[str] = []
    with _LOCK, _silent_opencv():
        if not hasattr(os, "memfd_create"):  # not Linux
            yield complaints
            return
        try:
            stderr = os.dup(2)
        except OSError:  # closed, so that nothing arrives there
            yield complaints
            return
        memory = os.memfd_create("stderr")
        os.dup2(memory, 2)
        try:
            yield complaints
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
            written = os.pread(memory, _MAX_BYTES, 0)
            os.close(memory)
            os.write(2, _sort_out(written, complaints))


def _sort_out(written: bytes, complaints: list[str]) -> bytes:
    """Append the lines of decoders to ``complaints``, and return the others."""
    others = []
    is_exception = False
    for line in written.splitlines(keepends=True):
        text = line.decode(errors="replace").rstrip()
        is_exception = text.startswith(_EXCEPTION) or (is_exception and bool(text))
        if text.startswith(_OF_DECODERS):
            complaints.append(text)
        elif text and not is_exception:
            others.append(line)
    return b"".join(others)


def damage(complaints: list[str]) -> str | None:
    """Return the first of ``complaints`` by which part of the image is wrong, None without one.

    Bytes between the parts of a JPEG, which many USB cameras send, are harmless.
    """
    return next((text for text in complaints if text.startswith(_OF_DAMAGE)), None)


@contextmanager
def _silent_opencv() -> Iterator[None]:
    log = getattr(cv2.utils, "logging", cv2)
    level = log.getLogLevel()
    log.setLogLevel(0)
    try:
        yield
    finally:
        log.setLogLevel(level)
