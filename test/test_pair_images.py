import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros.decoding.samples import ImageError
from stereo_depth_ros.pair_images import load_pair
from stereo_depth_ros.pictures import write_image

RANDOM = np.random.default_rng(0)
LEFT, RIGHT = (RANDOM.integers(0, 256, (6, 8, 3), np.uint8) for _ in range(2))


class Wrapped:
    """What turns into an array, as an image of Pillow does."""

    mode = "RGB"

    def __init__(self, values):
        self.values = values

    def __array__(self, dtype=None, copy=None):
        return self.values


def test_arrays_files_and_what_turns_into_an_array_are_one_pair(tmp_path):
    write_image(tmp_path / "left.png", LEFT)

    for left in (LEFT, str(tmp_path / "left.png"), tmp_path / "left.png", Wrapped(LEFT)):
        pair = load_pair(left, RIGHT)
        assert_array_equal(pair[0], LEFT)
        assert_array_equal(pair[1], RIGHT)


def test_grey_becomes_rgb():
    left, right = load_pair(LEFT[..., 0], RIGHT)

    assert_array_equal(left, np.repeat(LEFT[..., :1], 3, axis=2))
    assert_array_equal(right, RIGHT)


def test_views_of_arrays_are_taken():
    left, _ = load_pair(LEFT[::-1, ::-1, ::-1], RIGHT)

    assert left.flags.c_contiguous
    assert_array_equal(left, LEFT[::-1, ::-1, ::-1])


def test_deep_images_come_to_8_bits_on_one_scale():
    left, right = load_pair(LEFT.astype(np.uint16) << 4, (RIGHT.astype(np.uint16) << 4) // 4)

    assert left.dtype == np.uint8
    assert_array_equal(left, LEFT)
    assert_array_equal(right, RIGHT // 4)


@pytest.mark.parametrize(
    ("image", "text"),
    [
        (LEFT.astype(np.float32), "the left image is 6 x 8 x 3 of float32; give H x W"),
        (LEFT > 9, "of bool"),
        (np.dstack([LEFT, LEFT[..., 0]]), "6 x 8 x 4 of uint8"),
        (LEFT[0, 0], "is 3 of uint8"),
        (np.zeros((0, 8, 3), np.uint8), "0 x 8 x 3 of uint8"),
        (None, "the left image is no array of object"),
    ],
)
def test_what_is_no_image_is_one_line_with_the_cure(image, text):
    with pytest.raises(ImageError) as error:
        load_pair(image, RIGHT)

    assert text in str(error.value)
    assert "or the path of a file" in str(error.value)


def test_palette_is_not_taken_for_grey():
    image = Wrapped(LEFT[..., 0])
    image.mode = "P"

    with pytest.raises(ImageError, match=r"holds a palette; give its convert\('RGB'\)"):
        load_pair(image, RIGHT)


def test_different_sizes_are_named_by_their_files(tmp_path):
    write_image(tmp_path / "left.png", LEFT)

    with pytest.raises(ImageError, match=r"left\.png is 8 x 6 and the right image 4 x 3: a rect"):
        load_pair(tmp_path / "left.png", RIGHT[::2, ::2])
