"""A contact sheet of rendered scenes."""

from __future__ import annotations

import time
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from stereo_depth_ros.pictures import colour_confidence, colour_disparity, write_image
from stereo_depth_ros.scenes.synthetic.camera import photograph
from stereo_depth_ros.scenes.synthetic.layout import Dice, draw
from stereo_depth_ros.scenes.synthetic.render import RenderedBatch, render
from stereo_depth_ros.scenes.synthetic.textures import draw_bank, photographs


def preview(
    path: Path, count: int, size: tuple[int, int], seed: int, photos: Path | None
) -> tuple[float, str]:
    """Write ``count`` scenes of ``size`` (height, width) px to ``path``.

    Returns pairs/s, texture drawing not counted, and the device's name.

    Raises
    ------
    ValueError, OSError
        For a name that ends like no picture's, or a file that cannot be written.
    """
    if not cv2.haveImageWriter(str(path)):
        raise ValueError(f"{path} cannot be written; end its name in .png or .jpg")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dice = Dice(seed)
    bank = draw_bank(seed, 32, photographs(photos) if photos else (), device)
    at_once = 32 if device.type == "cuda" else 1
    rows: list[np.ndarray] = []
    seconds = 0.0
    while len(rows) < count:
        began = time.perf_counter()
        batch = min(at_once, count - len(rows))
        truth = render(draw(dice, batch, *size, bank.count), bank, *size, device)
        left, right = photograph(truth.left, truth.right, dice)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds += time.perf_counter() - began
        rows += [_row(left[i], right[i], truth, i) for i in range(batch)]
    write_image(path, np.vstack(rows))
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    return count / seconds, name


def _row(left: Tensor, right: Tensor, truth: RenderedBatch, index: int) -> np.ndarray:
    disparity = truth.disparity[index, 0].cpu().numpy()
    visible = truth.visible[index, 0].float().cpu().numpy()
    images = [image.permute(1, 2, 0).byte().cpu().numpy() for image in (left, right)]
    row = np.hstack([*images, colour_disparity(disparity), colour_confidence(visible)])
    return cv2.resize(row, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
