from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from stereo_depth_ros.evaluation.datasets import DatasetError, read_dataset, read_pfm
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


def middlebury_2003(root: Path) -> None:
    images(root / "a", "im2.png", "im6.png")
    png(root / "a" / "disp2.png", 4.0)


def middlebury_2001(root: Path) -> None:
    images(root / "a", "im2.ppm", "im6.ppm")
    png(root / "a" / "disp2.pgm", 8.0, truth=np.where(TRUTH > 31, np.nan, TRUTH))


def middlebury_2006(root: Path) -> None:
    images(root / "a", "view1.png", "view5.png")
    png(root / "a" / "disp1.png", 3.0)


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
    "Middlebury 2003": ("middlebury", middlebury_2003, False),
    "Middlebury 2006": ("middlebury", middlebury_2006, False),
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


def test_middlebury_2001_counts_eighths(tmp_path):
    middlebury_2001(tmp_path)
    (sample,) = read_dataset(tmp_path, "middlebury")
    np.testing.assert_allclose(sample.truth(), np.where(TRUTH > 31, np.nan, TRUTH))


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
