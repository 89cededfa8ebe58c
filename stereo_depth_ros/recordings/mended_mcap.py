"""An MCAP file whose end is missing or damaged, as a reader wants it: up to a whole record.

Source: the MCAP format, https://mcap.dev/spec.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import IO, Any

_MAGIC = b"\x89MCAP0\r\n"
_LAST_OPCODE = 0x0F
_DATA_END, _FOOTER = 0x0F, 0x02
# An end of data without checksum and a footer without summary.
_TAIL = b"\x0f" + (4).to_bytes(8, "little") + bytes(4)
_TAIL += b"\x02" + (20).to_bytes(8, "little") + bytes(20) + _MAGIC


class MendedMcap:
    """A path, for rosbags, of the file that ``path`` would be had it ended at byte ``end``.

    Attributes
    ----------
    suffix, stem
        As of a path.
    """

    def __init__(self, path: Path, end: int) -> None:
        self._path = path
        self.suffix, self.stem = path.suffix, path.stem
        self._end = end

    def __str__(self) -> str:
        return str(self._path)

    def exists(self) -> bool:
        """Whether the file is there."""
        return self._path.exists()

    def is_dir(self) -> bool:
        """Whether it is a folder, which it is not."""
        return False

    def open(self, *_: Any, **__: Any) -> IO[bytes]:
        """Open the file for reading."""
        return io.BufferedReader(_Joined(self._path, self._end))


def list_ends(path: Path) -> list[int]:
    """Return where each whole record of data in ``path`` ends, in bytes from its beginning.

    Empty where it does not begin as an MCAP file does.
    """
    size = path.stat().st_size
    ends: list[int] = []
    with path.open("rb") as file:
        if file.read(8) != _MAGIC:
            return ends
        end = 8
        while True:
            head = file.read(9)
            if len(head) < 9 or not 0 < head[0] <= _LAST_OPCODE:
                return ends
            if head[0] in (_DATA_END, _FOOTER):
                return ends
            end += 9 + int.from_bytes(head[1:], "little")
            if end > size:
                return ends
            ends.append(file.seek(end))


class _Joined(io.RawIOBase):
    """The first ``end`` bytes of a file, and then the tail."""

    def __init__(self, path: Path, end: int) -> None:
        super().__init__()
        self._file = path.open("rb")
        self._end = end
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place}.get(whence, self._end + len(_TAIL))
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place < self._end:
            self._file.seek(self._place)
            data = self._file.read(min(len(buffer), self._end - self._place))
        else:
            begin = self._place - self._end
            data = _TAIL[begin : begin + len(buffer)]
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)

    def close(self) -> None:
        self._file.close()
        super().close()
