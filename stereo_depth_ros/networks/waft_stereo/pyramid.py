"""From the maps of a transformer, all of one size, to one map of eight times that size."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.normalisation import InstanceNorm

Widths = tuple[int, int, int, int]


def pyramid_widths(width: int) -> Widths:
    """Return the channels of the four levels, fine to coarse, of a transformer of ``width``."""
    return width // 8, width // 4, width // 2, width


class ConvMLP(nn.Module):
    """Two linear layers on the channels of each pixel with the exact GELU between them."""

    def __init__(self, inputs: int, between: int, outputs: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(inputs, between, 1)
        self.fc2 = nn.Conv2d(between, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h, w)."""
        return self.fc2(F.gelu(self.fc1(x)))


class ResidualUnit(nn.Module):
    """Two 3 x 3 convolutions, each after a norm and SiLU, beside a shortcut.

    With a stride the shortcut is a 1 x 1 convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            InstanceNorm(),
            nn.SiLU(),
            nn.Conv2d(inputs, outputs, 3, stride, padding=1),
            InstanceNorm(),
            nn.SiLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1),
        )
        self.skip_conv = nn.Identity() if stride == 1 else nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, h, w) to (B, outputs, h / stride, w / stride)."""
        return self.skip_conv(x) + self.conv(x)


class Levels(nn.Module):
    """Bring four maps to four scales, the first to 8 times its size, the last to its own."""

    def __init__(self, inputs: int, widths: Widths) -> None:
        super().__init__()
        self.projects = nn.ModuleList(nn.Conv2d(inputs, width, 1) for width in widths)
        self.resize_layers = nn.ModuleList(
            [
                *(
                    nn.ConvTranspose2d(width, width, factor, stride=factor)
                    for width, factor in zip(widths, (8, 4, 2), strict=False)
                ),
                nn.Conv2d(widths[3], widths[3], 1),
            ]
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Map four (B, inputs, h, w) to (B, widths[i], ., .) of 8, 4, 2 and 1 times (h, w)."""
        return [
            resize(project(each))
            for each, project, resize in zip(maps, self.projects, self.resize_layers, strict=True)
        ]


class Cascade(nn.Module):
    """Fuse four levels from coarse to fine."""

    def __init__(self, widths: Widths) -> None:
        super().__init__()
        finest = widths[0]
        self.scratch = nn.ModuleList(
            nn.Conv2d(width, finest, 3, padding=1, bias=False) for width in widths
        )
        self.refine = nn.ModuleList(Fusion(finest, has_coarser=level < 3) for level in range(4))

    def forward(self, levels: list[Tensor]) -> Tensor:
        """Map (B, widths[i], ., .) of 8, 4, 2 and 1 times (h, w) to (B, widths[0], 8 h, 8 w)."""
        *finer, coarsest = (conv(level) for conv, level in zip(self.scratch, levels, strict=True))
        fused = self.refine[3](coarsest, None)
        for level in (2, 1, 0):
            fused = self.refine[level](finer[level], fused)
        return fused


class Fusion(nn.Module):
    """Add what the coarser levels hold to a level, if there are any, and refine."""

    def __init__(self, width: int, has_coarser: bool) -> None:
        super().__init__()
        if has_coarser:
            self.resConfUnit1 = ResidualUnit(width, width)
        self.resConfUnit2 = ResidualUnit(width, width)
        self.out_conv = nn.Conv2d(width, width, 1)

    def forward(self, level: Tensor, coarser: Tensor | None) -> Tensor:
        """Map a level (B, width, h, w) and the fused coarser one (B, width, h/2, w/2) to h x w."""
        if coarser is not None:
            # As published, what the dense prediction head does to the level it does to the other.
            coarser = F.interpolate(coarser, scale_factor=2, mode="bilinear", align_corners=True)
            level = level + self.resConfUnit1(coarser)
        return self.out_conv(self.resConfUnit2(level))
