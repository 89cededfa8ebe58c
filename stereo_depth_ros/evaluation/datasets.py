"""Read the pairs and the truth of public stereo datasets as their authors lay them out.

The layout "plain" is our own, and can be written too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from stereo_depth_ros.atomic_file import write_npy
from stereo_depth_ros.evaluation.sample import Sample
from stereo_depth_ros.evaluation.truth_files import (
    DatasetError,
    read_array,
    read_known,
    read_magnitude,
    read_mask,
    read_pfm,
    read_png,
)
from stereo_depth_ros.filters import left_right_consistent
from stereo_depth_ros.pictures import write_image


def _scale_2003(width: int) -> float:
    """Of Middlebury 2001, at most 434 px wide, and of 2003 at quarter, half and full size."""
    return 8.0 if width < 440 else 4.0 if width < 800 else 2.0 if width < 1500 else 1.0


def _scale_2006(width: int) -> float:
    """Of Middlebury 2005 and 2006: the values stay those of full size at half and third."""
    return 1.0 if width > 1000 else 2.0 if width > 550 else 3.0


def _mask_seen(truth: Callable[[], np.ndarray], of_right: Callable[[], np.ndarray]) -> np.ndarray:
    """Return where the truth of the left view and that of the right agree within 1 px."""
    return left_right_consistent(truth(), of_right(), 1.0)


def _sample(
    name: str,
    left: Path,
    right: Path,
    read: Callable[[Path], np.ndarray],
    truth: Path,
    of_right: Path,
) -> Sample:
    """Return a sample whose mask comes from the right view's truth, where that was published."""
    of_left = partial(read, truth)
    seen = partial(_mask_seen, of_left, partial(read, of_right)) if of_right.is_file() else None
    return Sample(name, left, right, of_left, seen)


def _folders(root: Path) -> list[Path]:
    return sorted(p for p in (root, *root.iterdir()) if p.is_dir())


def _plain(root: Path) -> Iterator[Sample]:
    for folder in _folders(root):
        truth, nonocc, sky = (folder / f"{name}.npy" for name in ("disp", "nonocc", "sky"))
        if truth.is_file():
            yield Sample(
                folder.name,
                folder / "left.png",
                folder / "right.png",
                partial(read_array, truth, np.float32),
                partial(read_array, nonocc, bool) if nonocc.is_file() else None,
                partial(read_array, sky, bool) if sky.is_file() else None,
            )


def write_plain(
    folder: Path,
    left: np.ndarray,
    right: np.ndarray,
    truth: np.ndarray,
    nonocc: np.ndarray,
    sky: np.ndarray,
) -> None:
    """Write one pair as layout "plain" reads it.

    Parameters
    ----------
    folder
        Of this pair alone.
    left, right
        (H, W, 3) uint8 RGB.
    truth, nonocc, sky
        What those of `Sample` read.

    Raises
    ------
    WriteError
        When a file cannot be written.
    """
    write_image(folder / "left.png", left)
    write_image(folder / "right.png", right)
    write_npy(folder / "nonocc.npy", nonocc)
    write_npy(folder / "sky.npy", sky)
    write_npy(folder / "disp.npy", truth)  # last: only with it a pair is there


def _two_view(root: Path) -> Iterator[Sample]:
    """Middlebury 2014, 2021 and evaluation v3, and ETH3D: PFM truth beside im0 and im1."""
    for folder in _folders(root):
        truths = [
            folder / name for name in ("disp0GT.pfm", "disp0.pfm") if (folder / name).is_file()
        ]
        mask = folder / "mask0nocc.png"
        if truths:
            sample = _sample(
                folder.name,
                folder / "im0.png",
                folder / "im1.png",
                read_pfm,
                truths[0],
                truths[0].with_name(truths[0].name.replace("disp0", "disp1")),
            )
            yield replace(sample, nonocc=partial(read_mask, mask)) if mask.is_file() else sample


def _middlebury(root: Path) -> Iterator[Sample]:
    yield from _two_view(root)
    for folder in _folders(root):
        for left, right, truth, of_right, scale in (
            ("im2.ppm", "im6.ppm", "disp2.pgm", "disp6.pgm", _scale_2003),  # 2001 and 2003
            ("im2.png", "im6.png", "disp2.png", "disp6.png", _scale_2003),
            ("view1.png", "view5.png", "disp1.png", "disp5.png", _scale_2006),
            (  # Tsukuba
                *("scene1.row3.col3.ppm", "scene1.row3.col4.ppm", "truedisp.row3.col3.pgm"),
                *("truedisp.row3.col4.pgm", 16.0),
            ),
        ):
            if (folder / truth).is_file():
                yield _sample(
                    folder.name,
                    folder / left,
                    folder / right,
                    partial(read_png, scale=scale),
                    folder / truth,
                    folder / of_right,
                )


def _kitti(root: Path) -> Iterator[Sample]:
    base = root / "training" if (root / "training").is_dir() else root
    for left, right, occ, noc in (
        ("image_2", "image_3", "disp_occ_0", "disp_noc_0"),  # 2015
        ("colored_0", "colored_1", "disp_occ", "disp_noc"),  # 2012
        ("image_0", "image_1", "disp_occ", "disp_noc"),
    ):
        truths = sorted((base / occ).glob("*_10.png")) if (base / left).is_dir() else []
        for truth in truths:
            visible = base / noc / truth.name
            yield Sample(
                truth.stem,
                base / left / truth.name,
                base / right / truth.name,
                partial(read_png, truth, 256.0),
                partial(read_known, visible, 256.0) if visible.is_file() else None,
            )
        if truths:
            return


def _scene_flow(root: Path) -> Iterator[Sample]:
    for truth in sorted((root / "disparity").rglob("left/*.pfm")):
        inner = truth.relative_to(root / "disparity").with_suffix("")
        for images in ("frames_finalpass", "frames_cleanpass"):
            left = (root / images / inner).with_suffix(".png")
            left = left if left.is_file() else left.with_suffix(".webp")
            if left.is_file():
                right = left.parent.parent / "right" / left.name
                name = f"{images.removeprefix('frames_')}/{inner.as_posix()}"
                of_right = truth.parent.parent / "right" / truth.name
                yield _sample(name, left, right, read_magnitude, truth, of_right)
                break  # the other pass is the same scene once more


def _instereo2k(root: Path) -> Iterator[Sample]:
    for folder in _folders(root):
        truth = folder / "left_disp.png"
        if truth.is_file():
            yield _sample(
                folder.name,
                folder / "left.png",
                folder / "right.png",
                partial(read_png, scale=100.0),
                truth,
                folder / "right_disp.png",
            )


_LAYOUTS: dict[str, tuple[Callable[[Path], Iterator[Sample]], str]] = {
    "plain": (_plain, "NAME/left.png right.png disp.npy [nonocc.npy sky.npy]"),
    "middlebury": (
        _middlebury,
        "NAME/im0.png im1.png disp0.pfm (2014, 2021, v3), im2 im6 disp2 (2001, 2003), "
        "view1.png view5.png disp1.png (2005, 2006), or scene1.row3.col3.ppm (Tsukuba)",
    ),
    "eth3d": (_two_view, "NAME/im0.png im1.png disp0GT.pfm [mask0nocc.png]"),
    "kitti": (
        _kitti,
        "[training/]image_2 image_3 disp_occ_0 (2015), or image_0 image_1 disp_occ (2012)",
    ),
    "sceneflow": (_scene_flow, "frames_finalpass/…/left/*.png and disparity/…/left/*.pfm"),
    "instereo2k": (_instereo2k, "NAME/left.png right.png left_disp.png"),
}

LAYOUTS = tuple(_LAYOUTS)


def read_dataset(root: Path, layout: str) -> list[Sample]:
    """List the samples of a dataset.

    Parameters
    ----------
    root
        Its folder.
    layout
        One of `LAYOUTS`.

    Returns
    -------
    list of Sample
        In order of name.

    Raises
    ------
    DatasetError
        For a folder that is missing or holds no pair with truth of that layout.
    """
    reader, expected = _LAYOUTS[layout]
    if not root.is_dir():
        raise DatasetError(f"{root} is not a folder")
    samples = list(reader(root))
    if not samples:
        raise DatasetError(f"{root} holds no pair with truth; layout {layout} is {expected}")
    for sample in samples:
        for image in (sample.left, sample.right):
            if not image.is_file():
                raise DatasetError(f"{sample.name}: {image} is missing; layout is {expected}")
    return samples
