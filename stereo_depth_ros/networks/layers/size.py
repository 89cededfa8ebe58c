"""The size of images: as numbers, and padded to a multiple of the network's stride."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def size_of(x: Tensor) -> tuple[int, int]:
    """Return height and width of (…, H, W).

    While traced they are tensors, so that a graph computes what follows from its size.
    """
    return x.shape[-2], x.shape[-1]


def fix_size(x: Tensor) -> tuple[int, int]:
    """Return height and width of (…, H, W) as numbers, also while traced.

    They become constants of the graph, which is then for that size alone.
    """
    return int(x.shape[-2]), int(x.shape[-1])


class Padding:
    """Edge replication, split between both sides, the odd pixel to the right and bottom.

    Both views get the same columns on the left, so disparities are not changed.
    """

    def __init__(self, height: int, width: int, multiple: int) -> None:
        extra_y, extra_x = -height % multiple, -width % multiple
        self.top, self.left = extra_y // 2, extra_x // 2
        self.bottom, self.right = extra_y - self.top, extra_x - self.left
        self.height, self.width = height, width

    def pad(self, image: Tensor) -> Tensor:
        """Pad (B, C, H, W)."""
        sides = (self.left, self.right, self.top, self.bottom)
        return F.pad(image, sides, mode="replicate") if any(sides) else image

    def pad_zeros(self, map_: Tensor) -> Tensor:
        """Pad (B, C, H, W) to the same size with zeros, which stand for no prior."""
        sides = (self.left, self.right, self.top, self.bottom)
        return F.pad(map_, sides) if any(sides) else map_

    def crop(self, image: Tensor) -> Tensor:
        """Cut a map of the padded size back to (B, C, H, W)."""
        return image[..., self.top : self.top + self.height, self.left : self.left + self.width]
