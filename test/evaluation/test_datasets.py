from __future__ import annotations

import pickle
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stereo_depth_ros.evaluation.datasets import (
    read_dataset,
    write_plain,
)
from stereo_depth_ros.evaluation.sample import digest_of
from stereo_depth_ros.evaluation.truth_files import DatasetError, read_pfm
from stereo_depth_ros.pictures import write_image

HEIGHT, WIDTH = 6, 8
LEFT = np.full((HEIGHT, WIDTH, 3), (200, 100, 50), np.uint8)
RIGHT = np.full((HEIGHT, WIDTH, 3), (10, 20, 30), np.uint8)
TRUTH = np.arange(1, HEIGHT * WIDTH + 1, dtype=np.float32).reshape(HEIGHT, WIDTH)
TRUTH[2, 3] = np.nan


def images(folder: Path, left: str, right: str) -> None:
    for name, image in ((left, LEFT), (right, RIGHT)):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_image(folder / name, image)


def png(path: Path, scale: float, dtype: type = np.uint8, truth: np.ndarray = TRUTH) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.nan_to_num(truth * scale).astype(dtype))


def pfm(path: Path, truth: np.ndarray = TRUTH, big_endian: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    order, scale = (">f4", "1.0") if big_endian else ("<f4", "-1.0")
    unknown_is_inf = np.where(np.isfinite(truth), truth, np.inf)
    head = f"Pf\n{truth.shape[1]} {truth.shape[0]}\n{scale}\n".encode()
    path.write_bytes(head + np.flipud(unknown_is_inf).astype(order).tobytes())


def plain(root: Path) -> None:
    images(root / "a", "left.png", "right.png")
    np.save(root / "a" / "disp.npy", TRUTH)
    np.save(root / "a" / "nonocc.npy", TRUTH > 9)


def two_view(root: Path, truth: str) -> None:
    images(root / "a", "im0.png", "im1.png")
    pfm(root / "a" / truth)
    write_image(root / "a" / "mask0nocc.png", np.where(TRUTH > 9, 255, 128).astype(np.uint8))


def kitti_2015(root: Path) -> None:
    images(root / "training", "image_2/a_10.png", "image_3/a_10.png")
    png(root / "training/disp_occ_0/a_10.png", 256, np.uint16)
    png(root / "training/disp_noc_0/a_10.png", 256, np.uint16, np.where(TRUTH > 9, TRUTH, np.nan))


def kitti_2012(root: Path) -> None:
    images(root, "image_0/a_10.png", "image_1/a_10.png")
    png(root / "disp_occ/a_10.png", 256, np.uint16)
    png(root / "disp_noc/a_10.png", 256, np.uint16, np.where(TRUTH > 9, TRUTH, np.nan))


def scene_flow(root: Path) -> None:
    images(root / "frames_finalpass/TRAIN/A/0000", "left/0006.png", "right/0006.png")
    pfm(root / "disparity/TRAIN/A/0000/left/0006.pfm", -TRUTH)


def instereo2k(root: Path) -> None:
    images(root / "a", "left.png", "right.png")
    png(root / "a" / "left_disp.png", 100.0, np.uint16)


CASES = {
    "plain": ("plain", plain, True),
    "Middlebury 2014": ("middlebury", lambda root: two_view(root, "disp0.pfm"), True),
    "Middlebury v3": ("middlebury", lambda root: two_view(root, "disp0GT.pfm"), True),
    "ETH3D": ("eth3d", lambda root: two_view(root, "disp0GT.pfm"), True),
    "KITTI 2015": ("kitti", kitti_2015, True),
    "KITTI 2012": ("kitti", kitti_2012, True),
    "Scene Flow": ("sceneflow", scene_flow, False),
    "InStereo2K": ("instereo2k", instereo2k, False),
}


@pytest.mark.parametrize(("layout", "make", "masked"), CASES.values(), ids=CASES)
def test_layouts_are_read_by_value(tmp_path, layout, make, masked):
    make(tmp_path)
    (sample,) = read_dataset(tmp_path, layout)
    left, right = sample.images()
    np.testing.assert_array_equal(left, LEFT)
    np.testing.assert_array_equal(right, RIGHT)
    np.testing.assert_allclose(sample.truth(), TRUTH, rtol=1e-6)
    assert sample.truth().dtype == np.float32
    if masked:
        np.testing.assert_array_equal(sample.nonocc(), TRUTH > 9)
    else:
        assert sample.nonocc is None


@pytest.mark.parametrize(
    ("names", "width", "scale"),
    [
        (("im2.ppm", "im6.ppm", "disp2.pgm"), 434, 8.0),  # 2001
        (("im2.ppm", "im6.ppm", "disp2.pgm"), 450, 4.0),  # 2003, a quarter
        (("im2.png", "im6.png", "disp2.png"), 450, 4.0),
        (("im2.png", "im6.png", "disp2.png"), 900, 2.0),  # half
        (("im2.png", "im6.png", "disp2.png"), 1800, 1.0),
        (("view1.png", "view5.png", "disp1.png"), 463, 3.0),  # 2005, 2006: a third
        (("view1.png", "view5.png", "disp1.png"), 695, 2.0),
        (("view1.png", "view5.png", "disp1.png"), 1390, 1.0),
        (
            ("scene1.row3.col3.ppm", "scene1.row3.col4.ppm", "truedisp.row3.col3.pgm"),
            384,
            16.0,
        ),
    ],
)
def test_middlebury_pictures_count_by_year_and_size(tmp_path, names, width, scale):
    left, right, truth = names
    images(tmp_path / "a", left, right)
    expected = np.tile(np.array([[7.0, 12.0], [np.nan, 3.0]], np.float32), (1, width // 2))
    png(tmp_path / "a" / truth, scale, truth=expected)

    (sample,) = read_dataset(tmp_path, "middlebury")

    np.testing.assert_allclose(sample.truth(), expected)


def middlebury_2014(root: Path, left: np.ndarray, right: np.ndarray) -> None:
    images(root / "a", "im0.png", "im1.png")
    pfm(root / "a" / "disp0.pfm", left)
    pfm(root / "a" / "disp1.pfm", right)


def middlebury_2005(root: Path, left: np.ndarray, right: np.ndarray) -> None:
    images(root / "a", "view1.png", "view5.png")
    png(root / "a" / "disp1.png", 3.0, truth=left)
    png(root / "a" / "disp5.png", 3.0, truth=right)


def scene_flow_of_both(root: Path, left: np.ndarray, right: np.ndarray) -> None:
    images(root / "frames_finalpass/A", "left/0006.png", "right/0006.png")
    images(root / "frames_cleanpass/A", "left/0006.png", "right/0006.png")
    pfm(root / "disparity/A/left/0006.pfm", -left)
    pfm(root / "disparity/A/right/0006.pfm", -right)


def instereo2k_of_both(root: Path, left: np.ndarray, right: np.ndarray) -> None:
    images(root / "a", "left.png", "right.png")
    png(root / "a" / "left_disp.png", 100.0, np.uint16, left)
    png(root / "a" / "right_disp.png", 100.0, np.uint16, right)


@pytest.mark.parametrize(
    ("layout", "make"),
    [
        ("middlebury", middlebury_2014),
        ("middlebury", middlebury_2005),
        ("sceneflow", scene_flow_of_both),
        ("instereo2k", instereo2k_of_both),
    ],
)
def test_truth_of_the_right_view_tells_what_is_occluded(tmp_path, layout, make):
    left = np.full((1, 12), 2.0, np.float32)
    left[0, 6] = 4.0  # in front of what the right view sees at column 2
    right = np.full((1, 12), 2.0, np.float32)
    right[0, 2], right[0, 8] = 4.0, np.nan
    make(tmp_path, left, right)

    (sample,) = read_dataset(tmp_path, layout)

    seen = np.ones((1, 12), bool)
    # Out of view, hidden by the near pixel, unknown on the right.
    seen[0, [0, 1, 4, 10]] = False
    np.testing.assert_array_equal(sample.nonocc(), seen)


def test_written_pair_is_read_back_by_value_and_a_truth_of_zero_is_known(tmp_path):
    truth = TRUTH.copy()
    truth[0] = 0
    write_plain(tmp_path / "b", LEFT, RIGHT, truth, truth > 9, truth == 0)
    plain(tmp_path)

    without, written = read_dataset(tmp_path, "plain")

    assert written.name == "b"
    for found, expected in zip(written.images(), (LEFT, RIGHT), strict=True):
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(written.truth(), truth)
    np.testing.assert_array_equal(written.nonocc(), truth > 9)
    np.testing.assert_array_equal(written.sky(), truth == 0)
    assert written.sky().dtype == bool
    assert without.sky is None


def change_truth(folder):
    truth = TRUTH.copy()
    truth[0, 0] += 1
    np.save(folder / "disp.npy", truth)


def change_image(folder):
    write_image(folder / "right.png", RIGHT + 1)


def rename(folder):
    folder.rename(folder.with_name("b"))


@pytest.mark.parametrize(
    ("change", "same"), [(rename, True), (change_truth, False), (change_image, False)]
)
def test_digest_is_that_of_images_and_truth(tmp_path, change, same):
    plain(tmp_path)
    before = digest_of(read_dataset(tmp_path, "plain"))

    change(tmp_path / "a")

    assert (digest_of(read_dataset(tmp_path, "plain")) == before) is same


@pytest.mark.parametrize("big_endian", [False, True])
def test_pfm_of_either_byte_order_is_read_top_row_first(tmp_path, big_endian):
    pfm(tmp_path / "d.pfm", big_endian=big_endian)
    np.testing.assert_array_equal(read_pfm(tmp_path / "d.pfm"), TRUTH)
    assert sys.byteorder == "little"


@pytest.mark.parametrize(
    "content", [b"PF\n2 2\n-1\n" + bytes(48), b"Pf\n2 2\n-1\n" + bytes(15), b""]
)
def test_a_broken_pfm_is_named(tmp_path, content):
    (tmp_path / "d.pfm").write_bytes(content)
    with pytest.raises(DatasetError, match=r"d\.pfm"):
        read_pfm(tmp_path / "d.pfm")


@pytest.mark.parametrize(
    "content",
    [b"", b"no array", b"PK\x03\x04 no archive", b"\x93NUMPY\x01\x00", pickle.dumps([1, 2])],
    ids=["empty", "text", "zip", "cut", "pickle"],
)
def test_truth_that_is_no_array_is_named(tmp_path, content):
    plain(tmp_path)
    (tmp_path / "a" / "disp.npy").write_bytes(content)

    (sample,) = read_dataset(tmp_path, "plain")
    with pytest.raises(DatasetError) as refused:
        sample.truth()
    assert str(refused.value) == (
        f"{tmp_path}/a/disp.npy is no whole .npy file; it must be what numpy.save writes of an "
        "array (H, W) of float32"
    )


def test_mask_that_is_no_array_is_named(tmp_path):
    plain(tmp_path)
    (tmp_path / "a" / "nonocc.npy").write_bytes(b"no array")

    (sample,) = read_dataset(tmp_path, "plain")
    with pytest.raises(DatasetError, match=r"a/nonocc\.npy is no whole .* \(H, W\) of bool$"):
        sample.nonocc()


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (np.ones(3), r"float64 of shape \(3,\)"),
        (np.ones((2, 3), complex), r"complex128 of shape \(2, 3\)"),
        (np.full((2, 3), "1"), r"<U1 of shape \(2, 3\)"),
    ],
    ids=["row", "complex", "text"],
)
def test_truth_of_another_kind_is_named(tmp_path, values, kind):
    plain(tmp_path)
    np.save(tmp_path / "a" / "disp.npy", values)

    (sample,) = read_dataset(tmp_path, "plain")
    with pytest.raises(DatasetError, match=rf"a/disp\.npy holds {kind}, not one number per"):
        sample.truth()


def test_an_empty_folder_says_what_was_expected(tmp_path):
    with pytest.raises(DatasetError, match=r"left_disp\.png"):
        read_dataset(tmp_path, "instereo2k")


def test_a_missing_image_is_named(tmp_path):
    plain(tmp_path)
    (tmp_path / "a" / "right.png").unlink()
    with pytest.raises(DatasetError, match=r"right\.png is missing"):
        read_dataset(tmp_path, "plain")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(DatasetError, match="not a folder"):
        read_dataset(tmp_path / "none", "plain")
