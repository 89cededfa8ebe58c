from __future__ import annotations

import os

import cv2
import numpy as np
import pytest

from stereo_depth_ros.decoding import compressed
from stereo_depth_ros.decoding.complaints import collect_complaints
from stereo_depth_ros.decoding.compressed import MAX_PIXELS, decompress
from stereo_depth_ros.decoding.encodings import BAYER, pack
from stereo_depth_ros.decoding.levels import to_rgb
from stereo_depth_ros.decoding.samples import ImageError


def packed(image: np.ndarray, extension: str) -> bytes:
    return cv2.imencode(extension, image)[1].tobytes()


def rgb(data: bytes, form: str) -> np.ndarray:
    return to_rgb([decompress(data, form)])[0]


def scene() -> np.ndarray:
    """Red, green, blue and skin in squares of 32 px."""
    colours = np.array([[(200, 30, 30), (30, 200, 30)], [(30, 30, 200), (203, 152, 107)]], np.uint8)
    return colours.repeat(32, axis=0).repeat(32, axis=1)


def centres(image: np.ndarray) -> np.ndarray:
    return image[16::32, 16::32].astype(int)


@pytest.mark.parametrize("encoding", BAYER)
@pytest.mark.parametrize("codec", ["jpeg", "png"])
def test_a_mosaic_keeps_its_colour(encoding, codec):
    mosaic = pack(scene(), encoding.replace("16", "8"))
    data = packed(mosaic, f".{codec}")
    image = rgb(data, f"{encoding}; {codec} compressed ")
    assert image.shape == (64, 64, 3)
    assert np.abs(centres(image) - centres(scene())).max() <= (12 if codec == "jpeg" else 0)


@pytest.mark.parametrize("encoding", [name for name in BAYER if name.endswith("16")])
def test_a_deep_mosaic_in_a_png_keeps_its_colour(encoding):
    # 12 bits, of which the brightest is 203 << 4
    mosaic = pack(scene(), encoding).view("<u2") >> 4
    image = rgb(packed(mosaic, ".png"), f"{encoding}; png compressed ")
    np.testing.assert_array_equal(centres(image), centres(scene()))


@pytest.mark.parametrize("form", ["mono8; jpeg compressed ", "jpeg", "", "rgb8; jpeg compressed "])
def test_grey_that_is_no_mosaic_stays_grey(form):
    grey = np.full((16, 16), 90, np.uint8)
    grey[:, ::2] = 140
    image = rgb(packed(grey, ".png"), form)
    np.testing.assert_array_equal(image, np.dstack([grey] * 3))


def test_colour_is_colour_even_if_the_format_speaks_of_a_mosaic():
    data = packed(scene()[..., ::-1], ".png")
    np.testing.assert_array_equal(rgb(data, "bayer_rggb8; png compressed bgr8"), scene())


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_deep_png_keeps_256_levels(bits):
    values = np.linspace(0, 2**bits - 1, 64 * 64).astype(np.uint16).reshape(64, 64)
    image = rgb(packed(values, ".png"), "mono16; png compressed ")
    np.testing.assert_array_equal(image[..., 0], values >> (bits - 8))


def test_a_deep_colour_png_keeps_its_colour():
    data = packed(scene()[..., ::-1].astype(np.uint16) << 4, ".png")
    np.testing.assert_array_equal(rgb(data, "rgb16; png compressed bgr16"), scene())


@pytest.mark.parametrize("extension", [".tiff", ".webp"])
def test_other_formats_are_read(extension):
    image = rgb(packed(scene()[..., ::-1], extension), extension)
    assert np.abs(centres(image) - centres(scene())).max() <= 12


def test_an_orientation_tag_does_not_turn_the_image():
    plain = packed(scene()[:32, :, ::-1], ".jpg")
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    tagged = plain[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + plain[2:]
    assert cv2.imdecode(np.frombuffer(tagged, np.uint8), 1).shape == (64, 32, 3)
    assert rgb(tagged, "jpeg").shape == (32, 64, 3)


def test_floats_are_refused():
    data = packed(np.ones((8, 8), np.float32), ".tiff")
    with pytest.raises(ImageError, match="float32 values; save it as PNG of 8 or 16 bits"):
        decompress(data, "32FC1; tiff compressed ")


# -- what must not be decoded --------------------------------------------------------------------


@pytest.fixture
def no_decoder(monkeypatch):
    def decoder(*arguments):
        raise AssertionError("decoded")

    monkeypatch.setattr(compressed.cv2, "imdecode", decoder)


def claiming(width: int, height: int) -> bytes:
    """A small PNG whose header claims another size."""
    data = bytearray(packed(scene(), ".png"))
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(("width", "height"), [(16000, 16000), (1 << 31, 1 << 31)])
def test_an_image_of_too_many_pixels_is_refused_by_its_header(no_decoder, width, height):
    assert width * height > MAX_PIXELS
    with pytest.raises(ImageError, match=f"PNG of {width} x {height} px; at most 64 million"):
        decompress(claiming(width, height), "png")


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_an_image_that_is_cut_off_is_refused_by_its_end(no_decoder, extension):
    data = packed(scene(), extension)[:-8]
    with pytest.raises(ImageError, match="is cut off"):
        decompress(data, "jpeg")


@pytest.mark.parametrize("data", [b"", bytes(100), b"BM" + bytes(60)])
def test_other_bytes_are_refused(no_decoder, data):
    reason = "it is neither PNG, JPEG, TIFF nor WebP; subscribe to a topic of JPEG or PNG"
    with pytest.raises(ImageError, match=f"{len(data)} bytes of format 'x' do not .*: {reason}"):
        decompress(data, "x")


def test_foreign_text_in_errors_is_bounded():
    with pytest.raises(ImageError) as raised:
        decompress(b"nothing", "x" * 100_000)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("extension", [".png", ".jpg", ".tiff", ".webp"])
def test_damaged_images_are_silent_on_stderr(extension, capfd):
    data = packed(scene(), extension)
    random = np.random.default_rng(0)
    for cut in np.linspace(0, len(data) - 1, 40).astype(int):
        changed = bytearray(data)
        changed[cut] ^= int(random.integers(1, 256))
        for damaged in (data[:cut], bytes(changed)):
            try:
                decompress(damaged, "any")
            except ImageError as error:
                assert "\n" not in str(error)
    assert capfd.readouterr().err == ""


def textured_jpeg() -> bytes:
    random = np.random.default_rng(0)
    return packed(random.integers(0, 256, (96, 128, 3), dtype=np.uint8), ".jpg")


def test_a_jpeg_that_is_damaged_in_the_middle_is_refused(capfd):
    data = bytearray(textured_jpeg())
    # An end mark amid the data: what follows would be grey.
    data[len(data) // 2 : len(data) // 2 + 2] = b"\xff\xd9"
    with pytest.raises(ImageError, match=r"premature end of data segment|cannot decode it"):
        decompress(bytes(data), "jpeg")
    assert capfd.readouterr().err == ""


def test_bytes_before_the_end_mark_as_usb_cameras_send_them_are_harmless(capfd):
    data = textured_jpeg()
    expected = rgb(data, "jpeg")
    np.testing.assert_array_equal(rgb(data[:-2] + b"\0\0" + data[-2:], "jpeg"), expected)
    assert capfd.readouterr().err == ""


def test_what_others_write_to_stderr_meanwhile_is_not_lost(capfd):
    with collect_complaints() as complaints:
        os.write(2, b"[INFO] another thread\nCorrupt JPEG data: 2 extraneous bytes\nand ")
        os.write(2, b"more")
    assert complaints == ["Corrupt JPEG data: 2 extraneous bytes"]
    assert capfd.readouterr().err == "[INFO] another thread\nand more"


def test_exceptions_that_opencv_prints_are_kept_off_stderr(capfd):
    with collect_complaints():
        os.write(2, b"before\nimdecode_(''): can't read header: error\n> where\n\nafter\n")
    assert capfd.readouterr().err == "before\nafter\n"


def test_stderr_is_back_after_an_error(capfd):
    with pytest.raises(RuntimeError), collect_complaints():
        raise RuntimeError
    os.write(2, b"back")
    assert capfd.readouterr().err == "back"
