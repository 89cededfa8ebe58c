from __future__ import annotations

from copy import deepcopy

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and sensor_msgs)")

from sensor_msgs.msg import CompressedImage, Image

from stereo_depth_ros.decoding.levels import Levels
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.ros.images import ENCODINGS, decode_pair, encode, read_image_size
from stereo_depth_ros.ros.messages import as_bytes, image_message

COLOUR = ("rgb8", "bgr8", "rgba8", "bgra8", "8UC3", "rgb16", "bgr16")
GREY = ("mono8", "8UC1", "mono16", "16UC1")
WORDS = ("mono16", "16UC1")
DEEP_COLOUR = ("rgb16", "bgr16")
BAYER = ("bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8")
DEEP_BAYER = ("bayer_rggb16", "bayer_bggr16", "bayer_gbrg16", "bayer_grbg16")
YUV = ("yuv422", "uyvy", "yuv422_yuy2", "yuyv")
PURE = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
SKIN = (203, 152, 107)


def patch(colour: tuple[int, int, int], height: int = 8, width: int = 12) -> np.ndarray:
    return np.full((height, width, 3), colour, np.uint8)


def gradient(height: int = 9, width: int = 14) -> np.ndarray:
    """Every pixel and channel differs, so that exchanged axes or channels show."""
    return (np.arange(height * width * 3) % 251).astype(np.uint8).reshape(height, width, 3)


def decoded(message: Image | CompressedImage) -> np.ndarray:
    left, right = decode_pair(message, message)
    assert np.array_equal(left, right)
    assert left.dtype == np.uint8
    return left


def words(values: np.ndarray, encoding: str = "mono16", big_endian: bool = False) -> Image:
    """A 16-bit message of ``values`` in the byte order asked for."""
    message = image_message(
        values.astype(">u2" if big_endian else "<u2"), encoding, values.shape[1]
    )
    message.is_bigendian = int(big_endian)
    return message


def compressed(image: np.ndarray, extension: str) -> CompressedImage:
    data = cv2.imencode(extension, image[..., ::-1])[1]
    return CompressedImage(format=extension.lstrip("."), data=as_bytes(data))


def test_every_known_encoding_is_tested_here():
    assert set(ENCODINGS) == {*COLOUR, *GREY, *BAYER, *DEEP_BAYER, *YUV}


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", COLOUR)
def test_colour_comes_back_exactly(encoding):
    assert np.array_equal(decoded(encode(gradient(), encoding)), gradient())


@pytest.mark.parametrize(
    ("encoding", "first_pixel"),
    [
        ("rgb8", (10, 20, 30)),
        ("bgr8", (30, 20, 10)),
        ("8UC3", (30, 20, 10)),
        ("rgba8", (10, 20, 30, 255)),
        ("bgra8", (30, 20, 10, 255)),
        ("rgb16", (0, 10, 0, 20, 0, 30)),
        ("bgr16", (0, 30, 0, 20, 0, 10)),
    ],
)
def test_colour_lies_in_the_message_in_the_order_of_its_name(encoding, first_pixel):
    message = encode(patch((10, 20, 30)), encoding)
    assert tuple(message.data[: len(first_pixel)]) == first_pixel


@pytest.mark.parametrize("encoding", GREY)
@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_grey_comes_back_exactly_in_all_three_channels(encoding, level):
    # White in a row fixes the range that 16-bit images are brought to.
    image = patch((level, level, level))
    image[0] = 255
    assert np.array_equal(decoded(encode(image, encoding)), image)


@pytest.mark.parametrize("encoding", BAYER + DEEP_BAYER)
@pytest.mark.parametrize("colour", PURE.values(), ids=PURE)
def test_a_pure_colour_comes_back_from_a_bayer_mosaic(encoding, colour):
    assert np.array_equal(decoded(encode(patch(colour), encoding)), patch(colour))


@pytest.mark.parametrize(
    ("encoding", "first_rows"),
    [
        ("bayer_rggb8", [[1, 2], [2, 3]]),
        ("bayer_bggr8", [[3, 2], [2, 1]]),
        ("bayer_gbrg8", [[2, 3], [1, 2]]),
        ("bayer_grbg8", [[2, 1], [3, 2]]),
    ],
)
def test_a_bayer_mosaic_begins_as_its_name_says(encoding, first_rows):
    message = encode(patch((1, 2, 3), 4, 4), encoding)
    assert np.reshape(message.data, (4, 4))[:2, :2].tolist() == first_rows


@pytest.mark.parametrize("encoding", BAYER + DEEP_BAYER)
def test_a_bayer_image_keeps_its_place(encoding):
    image = patch((0, 0, 0), 16, 20)
    image[8:, 10:] = 255
    found = decoded(encode(image, encoding))
    assert np.array_equal(found[10:, 12:], image[10:, 12:])
    assert np.array_equal(found[:6], image[:6])
    assert np.array_equal(found[:, :8], image[:, :8])


@pytest.mark.parametrize("encoding", YUV)
@pytest.mark.parametrize(
    "colour", [*PURE.values(), (255, 255, 255), (0, 0, 0), (128, 128, 128), SKIN]
)
def test_yuv_comes_back_within_three_levels(encoding, colour):
    found = decoded(encode(patch(colour), encoding)).astype(int)
    assert np.abs(found - patch(colour)).max() <= 3


@pytest.mark.parametrize(
    ("encoding", "luma_at"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)]
)
def test_yuv_lies_in_the_message_in_the_order_of_its_name(encoding, luma_at):
    data = encode(patch((255, 0, 0)), encoding).data
    luma, blue, red = data[luma_at], data[1 - luma_at], data[3 - luma_at]
    assert (data[luma_at + 2], luma) == (luma, pytest.approx(82, abs=1))
    assert (blue, red) == (pytest.approx(90, abs=1), pytest.approx(240, abs=1))


@pytest.mark.parametrize("encoding", YUV)
def test_yuv_keeps_the_brightness_of_every_column(encoding):
    image = np.repeat(np.linspace(0, 255, 24).astype(np.uint8)[None, :, None], 3, axis=2)
    image = np.repeat(image, 6, axis=0)
    found = decoded(encode(image, encoding)).astype(int)
    assert np.abs(found - image).max() <= 3


def test_8uc3_is_read_as_bgr():
    message = image_message(np.full((4, 12), 0, np.uint8), "8UC3", 4)
    message.data[0] = 200
    assert decoded(message)[0, 0].tolist() == [0, 0, 200]


def test_left_and_right_are_not_exchanged():
    left, right = decode_pair(encode(patch((1, 2, 3)), "rgb8"), encode(patch((4, 5, 6)), "bgr8"))
    assert left[0, 0].tolist() == [1, 2, 3]
    assert right[0, 0].tolist() == [4, 5, 6]


# -- 16 bits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", WORDS)
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
def test_the_brightest_pixel_of_any_bit_depth_becomes_255(encoding, bits):
    values = np.linspace(0, 2**bits - 1, 48).astype(np.uint16).reshape(6, 8)
    found = decoded(words(values, encoding))
    assert np.array_equal(found[..., 0], values >> (bits - 8))
    assert found.max() == 255


@pytest.mark.parametrize("side", [0, 1])
def test_both_images_are_darkened_alike(side):
    bright = np.full((4, 6), 4095, np.uint16)
    dim = np.full((4, 6), 1023, np.uint16)
    pair = [words(dim), words(dim)]
    pair[side] = words(bright)
    found = decode_pair(*pair)
    assert found[side].max() == 255
    assert found[1 - side].max() == 1023 >> 4


def test_16_bit_images_of_eight_used_bits_keep_their_values():
    values = np.arange(24, dtype=np.uint16).reshape(4, 6)
    assert np.array_equal(decoded(words(values))[..., 2], values)


@pytest.mark.parametrize("encoding", WORDS)
def test_big_endian_words_are_read_as_such(encoding):
    values = (np.arange(24, dtype=np.uint16) * 177).reshape(4, 6)
    little, big = words(values, encoding), words(values, encoding, big_endian=True)
    assert little.data != big.data
    assert np.array_equal(decoded(big), decoded(little))
    assert np.array_equal(decoded(big)[..., 0], values >> 4)


def test_a_black_16_bit_pair_stays_black():
    assert decoded(words(np.zeros((4, 6), np.uint16))).max() == 0


@pytest.mark.parametrize("bits", [10, 12, 16])
def test_a_png_of_16_bits_is_decoded_as_the_raw_image_is(bits):
    values = np.linspace(0, 2**bits - 1, 48 * 64).astype(np.uint16).reshape(48, 64)
    data = as_bytes(cv2.imencode(".png", values)[1])
    png = CompressedImage(format="mono16; png compressed ", data=data)
    assert np.array_equal(decoded(png), decoded(words(values)))
    assert len(np.unique(decoded(png))) == 256


def test_levels_are_kept_from_pair_to_pair():
    levels = Levels()
    bright, dim = (words(np.full((4, 6), value, np.uint16)) for value in (4000, 1000))
    decode_pair(bright, bright, levels)
    assert decode_pair(dim, dim, levels)[0].max() == 1000 >> 4
    assert decode_pair(dim, dim)[0].max() == 1000 >> 2


# -- rows ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_padding_after_each_row_is_skipped(encoding):
    image = gradient(8, 14)
    tight = encode(image, encoding)
    rows = np.frombuffer(tight.data, np.uint8).reshape(8, tight.step)
    # An odd padding also moves 16-bit rows to odd addresses.
    padded = np.pad(rows, ((0, 0), (0, 5)), constant_values=233)
    message = image_message(padded, encoding, 14)
    assert message.step == tight.step + 5
    assert np.array_equal(decoded(message), decoded(tight))


def test_bytes_after_the_last_row_are_ignored():
    message = encode(gradient(), "rgb8")
    message.data.extend([0] * 7)
    assert np.array_equal(decoded(message), gradient())


def test_rgb_is_decoded_without_a_copy():
    message = encode(gradient(), "rgb8")
    left, right = decode_pair(message, message)
    carried = np.frombuffer(message.data, np.uint8)
    assert np.shares_memory(left, carried)
    assert np.shares_memory(right, carried)


def test_padded_rgb_is_decoded_without_a_copy():
    rows = np.pad(gradient().reshape(9, -1), ((0, 0), (0, 6)))
    message = image_message(rows, "rgb8", 14)
    assert np.shares_memory(decoded(message), np.frombuffer(message.data, np.uint8))


# -- frames that cannot be read ------------------------------------------------------------------


def broken(side: str, bad: Image | CompressedImage) -> str:
    """The error text when ``bad`` is the image of ``side`` and the other image is good."""
    good = encode(patch(SKIN), "rgb8")
    with pytest.raises(FrameError) as raised:
        decode_pair(*((bad, good) if side == "left" else (good, bad)))
    text = str(raised.value)
    assert text.startswith(f"{side} image")
    return text


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_truncated_data_is_an_error_of_its_side(side, encoding):
    message = encode(patch(SKIN), encoding)
    size = len(message.data)
    message.data = message.data[:-1]
    text = broken(side, message)
    assert f"needs {size} bytes but carries {size - 1}" in text
    assert "12 x 8" in text and encoding in text and "truncated" in text


def test_data_that_ends_within_the_padding_is_truncated():
    rows = np.pad(gradient().reshape(9, -1), ((0, 0), (0, 6)))
    message = image_message(rows, "rgb8", 14)
    message.data = message.data[:-6]
    assert "needs 432 bytes but carries 426" in broken("right", message)


@pytest.mark.parametrize(("height", "width"), [(0, 12), (8, 0), (0, 0)])
def test_an_empty_image_is_an_error(height, width):
    message = encode(patch(SKIN), "rgb8")
    message.height, message.width = height, width
    assert f"{width} x {height}" in broken("left", message)


@pytest.mark.parametrize("step", [0, 1, 35])
def test_a_step_too_small_for_a_row_is_an_error(step):
    message = encode(patch(SKIN), "rgb8")
    message.step = step
    text = broken("right", message)
    assert f"step is {step}, below the 36 bytes of a row of 12 rgb8 pixels" in text
    assert "truncated" not in text


def test_a_message_without_data_is_an_error():
    message = encode(patch(SKIN), "mono8")
    message.data = as_bytes(np.empty(0, np.uint8))
    assert "needs 96 bytes but carries 0" in broken("left", message)


@pytest.mark.parametrize("side", ["left", "right"])
def test_an_unknown_encoding_is_named(side):
    message = encode(patch(SKIN), "rgb8")
    message.encoding = "rgb9"
    assert "'rgb9'" in broken(side, message)


def test_an_unknown_encoding_names_the_known_ones():
    try:
        import cv_bridge  # noqa: F401
    except ImportError:
        message = encode(patch(SKIN), "rgb8")
        message.encoding = ""
        text = broken("left", message)
        assert all(encoding in text for encoding in ENCODINGS)
        assert "cv_bridge" in text
    else:
        pytest.skip("cv_bridge reads the other encodings")


@pytest.mark.parametrize("encoding", YUV)
def test_yuv_of_odd_width_is_an_error(encoding):
    message = image_message(np.zeros((4, 10), np.uint8), encoding, 5)
    text = broken("right", message)
    assert encoding in text and "even width, not 5" in text


def test_encoding_to_an_unknown_name_is_an_error():
    with pytest.raises(ValueError, match=r"'h264' is not one of rgb8"):
        encode(patch(SKIN), "h264")


# -- compressed ----------------------------------------------------------------------------------


def test_png_comes_back_exactly():
    assert np.array_equal(decoded(compressed(gradient(), ".png")), gradient())


@pytest.mark.parametrize("colour", [*PURE.values(), SKIN])
def test_jpeg_keeps_the_colour(colour):
    found = decoded(compressed(patch(colour, 16, 16), ".jpg")).astype(int)
    assert np.abs(found - colour).max() <= 4


def test_grey_jpeg_becomes_three_channels():
    data = cv2.imencode(".jpg", np.full((16, 16), 90, np.uint8))[1]
    message = CompressedImage(format="mono8; jpeg", data=as_bytes(data))
    found = decoded(message)
    assert found.shape == (16, 16, 3)
    assert np.abs(found.astype(int) - 90).max() <= 1


@pytest.mark.parametrize("side", ["left", "right"])
def test_garbage_does_not_decompress(side):
    message = CompressedImage(format="jpeg", data=as_bytes(np.full(100, 7, np.uint8)))
    text = broken(side, message)
    assert "100 bytes of format 'jpeg'" in text and "decompress" in text


def test_a_compressed_image_without_data_does_not_decompress():
    assert "0 bytes of format 'png'" in broken("left", CompressedImage(format="png"))


def test_the_colour_of_a_mosaic_in_a_grey_jpeg_is_kept():
    mosaic = np.frombuffer(encode(patch(SKIN, 16, 16), "bayer_rggb8").data, np.uint8)
    data = cv2.imencode(".jpg", mosaic.reshape(16, 16), [cv2.IMWRITE_JPEG_QUALITY, 95])[1]
    message = CompressedImage(format="bayer_rggb8; jpeg compressed ", data=as_bytes(data))
    assert np.abs(decoded(message).astype(int) - SKIN).max() <= 6


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_size_is_known_before_decoding(side):
    assert read_image_size(encode(gradient(), "bgr8"), side) == (14, 9)
    assert read_image_size(compressed(gradient(), ".png"), side) == (14, 9)
    with pytest.raises(FrameError, match=rf"^{side} image: 3 bytes of format 'jpeg' do not"):
        read_image_size(CompressedImage(format="jpeg", data=as_bytes(np.zeros(3, np.uint8))), side)


def test_one_side_may_be_compressed_and_the_other_not():
    left, right = decode_pair(compressed(gradient(), ".png"), encode(gradient(), "bgr8"))
    assert np.array_equal(left, right)


# -- encode --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("encodings", "pixel_bytes"),
    [
        (("rgb8", "bgr8", "8UC3"), 3),
        (("rgba8", "bgra8"), 4),
        (("mono8", "8UC1", *BAYER), 1),
        ((*WORDS, *YUV, *DEEP_BAYER), 2),
        (DEEP_COLOUR, 6),
    ],
)
def test_encoded_messages_have_consistent_sizes(encodings, pixel_bytes):
    for encoding in encodings:
        message = encode(gradient(8, 14), encoding)
        assert (message.height, message.width, message.encoding) == (8, 14, encoding)
        assert message.step == 14 * pixel_bytes
        assert len(message.data) == 8 * 14 * pixel_bytes
        assert message.is_bigendian == 0


def test_decoding_leaves_the_message_as_it_was():
    for encoding in ENCODINGS:
        message = encode(gradient(8, 14), encoding)
        before = deepcopy(message)
        decoded(message)
        assert message == before
