"""Small datasets on disk, of layout "plain"."""

from __future__ import annotations

import numpy as np

from stereo_depth_ros.atomic_file import write_npy
from stereo_depth_ros.evaluation.datasets import write_plain
from stereo_depth_ros.pictures import write_image


def write_pairs(folder, count=3, size=(64, 96)):
    """Write textured walls at 3, 4, … px; return the folder."""
    height, width = size
    for index in range(count):
        wall = np.random.default_rng(index).integers(0, 256, (height, width + 40, 3), np.uint8)
        disparity = 3 + index
        here = folder / f"wall{index}"
        truth = np.full(size, disparity, np.float32)
        seen = np.broadcast_to(np.arange(width) >= disparity, size)
        left, right = wall[:, :width], wall[:, disparity : disparity + width]
        write_plain(here, left, right, truth, seen, np.zeros(size, bool))
    return folder


def write_sparse_pair(folder, size=(64, 96)):
    """Write one wall at 5 px with truth at one pixel of 16 and no mask."""
    height, width = size
    wall = np.random.default_rng(9).integers(0, 256, (height, width + 40, 3), np.uint8)
    truth = np.full(size, np.nan, np.float32)
    truth[::4, ::4] = 5
    write_image(folder / "left.png", wall[:, :width])
    write_image(folder / "right.png", wall[:, 5 : 5 + width])
    write_npy(folder / "disp.npy", truth)
    return folder
