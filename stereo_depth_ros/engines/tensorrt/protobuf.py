"""Messages of protocol buffers, read and written without a package for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

Message = memoryview | bytes


def fields(data: Message) -> Iterator[tuple[int, Any]]:
    """Yield number and value of each field of a message, nothing copied.

    Raises
    ------
    ValueError, IndexError
        When the message is damaged.
    """
    position, end = 0, len(data)
    while position < end:
        tag, position = _read_varint(data, position)
        kind = tag & 7
        if kind == 0:
            value, position = _read_varint(data, position)
            yield tag >> 3, value
            continue
        if kind == 2:
            length, position = _read_varint(data, position)
        elif kind in (1, 5):
            length = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if position + length > end:
            raise ValueError("cut short")
        yield tag >> 3, data[position : position + length]
        position += length


def text_of(value: Message) -> str:
    """Return a text that `fields` yielded."""
    return bytes(value).decode()


def field(number: int, value: int | str | Message) -> bytes:
    """Return one field: a whole number from 0, a text, or bytes such as a message."""
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    content = value.encode() if isinstance(value, str) else bytes(value)
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 127:
        groups.append(value & 127 | 128)
        value >>= 7
    return bytes((*groups, value))


def _read_varint(data: Message, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
