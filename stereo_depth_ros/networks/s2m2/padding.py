"""The padding that the published network was run with."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import Padding


class BlurredPadding(Padding):
    """Padding with a coarse blur of the image on black."""

    def __init__(self, height: int, width: int, multiple: int) -> None:
        # NumPy works out what is averaged, for that size alone.
        super().__init__(int(height), int(width), multiple)

    def pad(self, image: Tensor) -> Tensor:
        """Pad (B, C, H, W)."""
        sides = (self.left, self.right, self.top, self.bottom)
        if not any(sides):
            return image
        rows = torch.from_numpy(_averages(self.top, self.height, self.bottom)).to(image)
        columns = torch.from_numpy(_averages(self.left, self.width, self.right)).to(image)
        cells = rows @ image @ columns.T  # (B, C, H // 32, W // 32)
        size = (self.top + self.height + self.bottom, self.left + self.width + self.right)
        blurred = F.interpolate(cells, size=size, mode="bilinear")
        inside = F.pad(image.new_ones(1, 1, self.height, self.width), sides)
        return F.pad(image, sides) + (1 - inside) * blurred


def _averages(before: int, size: int, after: int) -> np.ndarray:
    """Return the matrix (size // 32, size) that averages an axis, zeros around it, cell by cell.

    This is adaptive pooling, which cannot be exported where the cells overlap.
    """
    cells, padded = max(size // 32, 1), before + size + after
    cell, pixel = np.arange(cells)[:, None], np.arange(before, before + size)
    start, stop = cell * padded // cells, -((cell + 1) * -padded // cells)
    return (((start <= pixel) & (pixel < stop)) / (stop - start)).astype(np.float32)
