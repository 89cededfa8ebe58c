import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros import pictures


def test_image_is_read_as_it_was_written(tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)

    pictures.write_image(tmp_path / "image.png", image)

    assert_array_equal(pictures.read_image(tmp_path / "image.png"), image)


def test_written_red_is_red_to_others(tmp_path):
    pictures.write_image(tmp_path / "red.png", np.full((2, 2, 3), (255, 0, 0), np.uint8))

    assert_array_equal(cv2.imread(str(tmp_path / "red.png"))[0, 0], [0, 0, 255])


def test_grey_file_is_read_as_rgb(tmp_path):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "grey.png"), grey)

    image = pictures.read_image(str(tmp_path / "grey.png"))

    assert_array_equal(image, np.repeat(grey[..., None], 3, axis=2))


def test_sixteen_bit_file_is_read_as_eight_bits(tmp_path):
    deep = (np.arange(208, 256, dtype=np.uint16) * 257).reshape(6, 8)
    cv2.imwrite(str(tmp_path / "deep.png"), deep)

    image = pictures.read_image(tmp_path / "deep.png")

    assert image.dtype == np.uint8
    assert_array_equal(image[..., 0], np.arange(208, 256).reshape(6, 8))


@pytest.mark.parametrize("bits", [10, 12])
def test_pair_of_few_bits_keeps_all_grey_levels_on_one_scale(tmp_path, bits):
    left = np.linspace(0, 2**bits - 1, 60 * 80).astype(np.uint16).reshape(60, 80)
    right = left // 4
    cv2.imwrite(str(tmp_path / "left.png"), left)
    cv2.imwrite(str(tmp_path / "right.png"), right)

    images = pictures.read_pair(tmp_path / "left.png", tmp_path / "right.png")

    assert_array_equal(images[0][..., 0], left >> (bits - 8))
    assert_array_equal(images[1][..., 0], right >> (bits - 8))


def test_file_of_floats_says_what_to_save(tmp_path):
    cv2.imwrite(str(tmp_path / "float.tiff"), np.ones((6, 8), np.float32))

    with pytest.raises(
        ValueError, match=r"float\.tiff .* float32 values; save it as PNG of 8 or 16"
    ):
        pictures.read_image(tmp_path / "float.tiff")


@pytest.mark.parametrize("extension", ["png", "jpg"])
def test_file_that_is_cut_off_is_named_once(tmp_path, capfd, extension):
    file = tmp_path / f"half.{extension}"
    cv2.imwrite(str(file), np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8))
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])

    with pytest.raises(ValueError, match=rf"half\.{extension} .*: the \w+ is cut off"):
        pictures.read_image(file)

    assert capfd.readouterr().err == ""


def test_missing_image_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"absent\.png does not exist"):
        pictures.read_image(tmp_path / "absent.png")


def test_folder_in_place_of_an_image_is_told(tmp_path):
    with pytest.raises(IsADirectoryError, match="is a folder; name an image in it"):
        pictures.read_image(tmp_path)


def test_file_that_is_no_image_is_named(tmp_path):
    (tmp_path / "text.png").write_text("no image")

    with pytest.raises(ValueError, match=r"text\.png is not an image"):
        pictures.read_image(tmp_path / "text.png")


def test_image_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()

    with pytest.raises(
        OSError, match=r"image\.png was not written: .*file is a file, not a folder"
    ):
        pictures.write_image(tmp_path / "file" / "image.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(ValueError, match=r"image cannot be written; end its name in \.png"):
        pictures.write_image(tmp_path / "image", np.zeros((2, 2, 3), np.uint8))


VERTEX = np.dtype([("xyz", "<f4", 3), ("rgb", "u1", 3)])


def read_ply(path):
    header, _, body = path.read_bytes().partition(b"end_header\n")
    return header.decode("ascii").splitlines(), np.frombuffer(body, VERTEX)


def test_ply_holds_the_finite_points_with_their_colours(tmp_path):
    points = np.arange(18, dtype=np.float32).reshape(2, 3, 3)
    points[0, 1, 2] = np.nan
    points[1, 0] = np.inf
    colours = np.arange(18, dtype=np.uint8).reshape(2, 3, 3) + 100

    pictures.write_ply(tmp_path / "points.ply", points, colours)

    _, vertices = read_ply(tmp_path / "points.ply")
    kept = [0, 2, 4, 5]
    assert_array_equal(vertices["xyz"], points.reshape(-1, 3)[kept])
    assert_array_equal(vertices["rgb"], colours.reshape(-1, 3)[kept])


def test_ply_header_describes_its_body(tmp_path):
    pictures.write_ply(
        tmp_path / "points.ply", np.ones((5, 3), np.float32), np.ones((5, 3), np.uint8)
    )

    header, vertices = read_ply(tmp_path / "points.ply")
    assert header[:2] == ["ply", "format binary_little_endian 1.0"]
    assert "element vertex 5" in header
    assert [line.split()[1:] for line in header if line.startswith("property")] == [
        ["float", "x"],
        ["float", "y"],
        ["float", "z"],
        ["uchar", "red"],
        ["uchar", "green"],
        ["uchar", "blue"],
    ]
    assert len(vertices) == 5


def test_ply_without_points_is_empty(tmp_path):
    nothing = np.full((4, 3), np.nan, np.float32)

    pictures.write_ply(tmp_path / "points.ply", nothing, np.zeros((4, 3), np.uint8))

    header, vertices = read_ply(tmp_path / "points.ply")
    assert "element vertex 0" in header
    assert len(vertices) == 0
