"""Format and size of a compressed image, and whether it is whole, without decoding it.

Sources: PNG (ISO/IEC 15948), JPEG (ITU-T T.81), TIFF 6.0, WebP (RFC 9649).
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from stereo_depth_ros.decoding.samples import ImageError

_PNG = b"\x89PNG\r\n\x1a\n"
_MAX_SEGMENTS = 1000


@dataclass(frozen=True)
class Header:
    """``kind`` is "PNG", "JPEG", "TIFF" or "WebP"; ``width`` and ``height`` are in px."""

    kind: str
    width: int
    height: int


def read_header(data: bytes) -> Header | None:
    """Return what ``data`` says of itself, None where it is none of the four formats.

    Raises
    ------
    ImageError
        When the header is damaged.
    """
    for kind, (is_kind, read_size) in _READERS.items():
        if is_kind(data):
            try:
                width, height = read_size(data)
            except (struct.error, IndexError):
                width = height = 0
            if width < 1 or height < 1:
                raise ImageError(f"the {kind} header is damaged")
            return Header(kind, width, height)
    return None


def check_complete(header: Header, data: bytes) -> None:
    """Check checksums and end marks of PNG and JPEG, which not every decoder does.

    Raises
    ------
    ImageError
        When a part is missing or altered.
    """
    if header.kind == "PNG":
        _check_chunks(data)
    # A thumbnail before the frame has an end mark too; cameras pad what follows the last one.
    elif header.kind == "JPEG" and data.rfind(b"\xff\xd9", _jpeg_frame(data)) < 0:
        raise ImageError("the JPEG is cut off")


def _check_chunks(data: bytes) -> None:
    view = memoryview(data)
    position, kind = len(_PNG), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise ImageError("the PNG is cut off")
        length, kind = struct.unpack_from(">I4s", data, position)
        end = position + 8 + length
        if end + 4 > len(data):
            raise ImageError("the PNG is cut off")
        if zlib.crc32(view[position + 4 : end]) != struct.unpack_from(">I", data, end)[0]:
            raise ImageError("the PNG is damaged: a checksum does not fit")
        position = end + 4


def _png_size(data: bytes) -> tuple[int, int]:
    length, kind, width, height = struct.unpack_from(">I4sII", data, len(_PNG))
    return (width, height) if (length, kind) == (13, b"IHDR") else (0, 0)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    height, width = struct.unpack_from(">HH", data, _jpeg_frame(data) + 5)
    return width, height


def _jpeg_frame(data: bytes) -> int:
    """Return where the frame header begins, which follows tables and tags of any number."""
    position = 2
    for _ in range(_MAX_SEGMENTS):
        prefix, marker, length = struct.unpack_from(">BBH", data, position)
        if prefix != 0xFF:
            break
        if marker == 0xFF:
            position += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
        elif 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return position
        else:
            position += 2 + length
    raise IndexError("no frame header")


def _tiff_size(data: bytes) -> tuple[int, int]:
    order = "<" if data[:2] == b"II" else ">"
    (directory,) = struct.unpack_from(f"{order}I", data, 4)
    (count,) = struct.unpack_from(f"{order}H", data, directory)
    sizes = {256: 0, 257: 0}
    for entry in range(directory + 2, directory + 2 + 12 * count, 12):
        tag, kind = struct.unpack_from(f"{order}HH", data, entry)
        if tag in sizes:
            (sizes[tag],) = struct.unpack_from(
                f"{order}{'H' if kind == 3 else 'I'}", data, entry + 8
            )
    return sizes[256], sizes[257]


def _webp_size(data: bytes) -> tuple[int, int]:
    chunk = data[12:16]
    if chunk == b"VP8X":
        width, height = (int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return (width + 1, height + 1) if len(data) >= 30 else (0, 0)
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    width, height = struct.unpack_from("<HH", data, 26)
    return (width & 0x3FFF, height & 0x3FFF) if chunk == b"VP8 " else (0, 0)


_READERS = {
    "PNG": (lambda data: data.startswith(_PNG), _png_size),
    "JPEG": (lambda data: data.startswith(b"\xff\xd8\xff"), _jpeg_size),
    "TIFF": (lambda data: data[:4] in (b"II*\0", b"MM\0*"), _tiff_size),
    "WebP": (lambda data: data[:4] == b"RIFF" and data[8:12] == b"WEBP", _webp_size),
}
