from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest

from stereo_depth_ros.decoding.header import Header, check_complete, read_header
from stereo_depth_ros.decoding.samples import ImageError

KINDS = {".png": "PNG", ".jpg": "JPEG", ".tiff": "TIFF", ".webp": "WebP"}


def image(height: int = 33, width: int = 70, channels: int = 3) -> np.ndarray:
    random = np.random.default_rng(0)
    return random.integers(0, 256, (height, width, channels), dtype=np.uint8).squeeze()


def packed(extension: str, *options: int, channels: int = 3) -> bytes:
    return cv2.imencode(extension, image(channels=channels), options)[1].tobytes()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("extension", KINDS)
def test_kind_and_size_are_those_that_were_written(extension, channels):
    data = packed(extension, channels=channels)
    assert read_header(data) == Header(KINDS[extension], 70, 33)
    check_complete(read_header(data), data)


@pytest.mark.parametrize(
    ("extension", "option", "value"),
    [
        (".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
        (".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
        (".webp", cv2.IMWRITE_WEBP_QUALITY, 50),
        (".webp", cv2.IMWRITE_WEBP_QUALITY, 101),  # above 100 is lossless, another layout
    ],
)
def test_variants_of_a_format_are_read(extension, option, value):
    header = read_header(packed(extension, option, value))
    assert (header.width, header.height) == (70, 33)


def test_extended_webp_is_read():
    chunk = struct.pack("<4sIB3x", b"VP8X", 10, 0) + bytes([69, 0, 0, 32, 0, 0])
    data = b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk
    assert read_header(data) == Header("WebP", 70, 33)


def test_big_endian_tiff_is_read():
    entries = struct.pack(">HHII", 256, 4, 1, 70) + struct.pack(">HHIHH", 257, 3, 1, 33, 0)
    assert read_header(b"MM\0*" + struct.pack(">IH", 8, 2) + entries) == Header("TIFF", 70, 33)


def with_thumbnail(jpeg: bytes) -> bytes:
    """Insert a tag that holds a whole JPEG of its own."""
    thumbnail = cv2.imencode(".jpg", image(8, 8))[1].tobytes()
    tag = b"Exif\0\0" + thumbnail
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(tag)) + tag + jpeg[2:]


def test_a_thumbnail_is_not_taken_for_the_image():
    data = with_thumbnail(packed(".jpg"))
    assert read_header(data) == Header("JPEG", 70, 33)
    check_complete(read_header(data), data)
    with pytest.raises(ImageError, match="cut off"):
        check_complete(read_header(data), data[:-2])


def test_padding_after_the_end_is_allowed():
    for extension in (".jpg", ".png"):
        data = packed(extension) + bytes(100)
        check_complete(read_header(data), data)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.99])
@pytest.mark.parametrize("extension", [".png", ".jpg"])
def test_an_image_that_is_cut_off_is_told(extension, cut):
    data = packed(extension)
    data = data[: max(800, int(cut * len(data)))]
    with pytest.raises(ImageError, match=f"the {KINDS[extension]} is cut off"):
        check_complete(read_header(data), data)


def test_a_jpeg_whose_end_was_lost_to_zeros_is_cut_off():
    data = packed(".jpg")
    data = data[: len(data) // 2].ljust(len(data), b"\0")
    with pytest.raises(ImageError, match="cut off"):
        check_complete(read_header(data), data)


def test_an_altered_byte_of_a_png_is_told():
    data = bytearray(packed(".png"))
    data[len(data) // 2] ^= 0xFF
    with pytest.raises(ImageError, match="a checksum does not fit"):
        check_complete(read_header(bytes(data)), bytes(data))


@pytest.mark.parametrize("data", [b"", b"\x07" * 100, b"BM" + bytes(60), b"P6\n2 2\n255\n"])
def test_other_formats_have_no_header(data):
    assert read_header(data) is None


@pytest.mark.parametrize("extension", KINDS)
def test_no_beginning_of_a_file_ends_in_another_error(extension):
    data = packed(extension)
    for length in range(64):
        try:
            header = read_header(data[:length])
        except ImageError as error:
            assert "header is damaged" in str(error)
        else:
            assert header is None or (header.width, header.height) == (70, 33)


@pytest.mark.parametrize("filler", [b"\xff", b"\xff\x01", b"\xff\xe0\0\0"])
def test_a_jpeg_of_fillers_alone_is_refused(filler):
    with pytest.raises(ImageError, match="JPEG header is damaged"):
        read_header(b"\xff\xd8\xff" + filler * 200_000)


def test_a_png_without_size_is_damaged():
    chunk = b"IHDR" + struct.pack(">IIBBBBB", 0, 33, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    with pytest.raises(ImageError, match="PNG header is damaged"):
        read_header(data + struct.pack(">I", zlib.crc32(chunk)))
