"""The dense prediction head (Ranftl et al. 2021) of Depth Anything V2, up to its last feature."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.size import fix_size


class DPTSize(NamedTuple):
    """``channels`` of the four maps that are made of the taps, all brought to ``features``."""

    features: int
    channels: tuple[int, int, int, int]


DPT_SIZES = {
    "vits": DPTSize(64, (48, 96, 192, 384)),
    "vitb": DPTSize(128, (96, 192, 384, 768)),
    "vitl": DPTSize(256, (256, 512, 1024, 1024)),
}


class Reassemble(nn.Module):
    """Make a pyramid of the four maps that a transformer of ``width`` channels returns."""

    def __init__(self, width: int, size: DPTSize) -> None:
        super().__init__()
        features, channels = size
        self.projects = nn.ModuleList(nn.Conv2d(width, c, 1) for c in channels)
        self.resize_layers = nn.ModuleList(
            [
                nn.ConvTranspose2d(channels[0], channels[0], 4, stride=4),
                nn.ConvTranspose2d(channels[1], channels[1], 2, stride=2),
                nn.Identity(),
                nn.Conv2d(channels[3], channels[3], 3, stride=2, padding=1),
            ]
        )
        self.scratch = nn.Module()
        for level, c in enumerate(channels, 1):
            conv = nn.Conv2d(c, features, 3, padding=1, bias=False)
            self.scratch.add_module(f"layer{level}_rn", conv)

    def pyramid(self, taps: list[Tensor]) -> list[Tensor]:
        """Map four (B, width, h, w) to (B, features, ., .) of 4, 2, 1 and 1/2 times (h, w)."""
        return [
            self.scratch.get_submodule(f"layer{level}_rn")(resize(project(tap)))
            for level, (tap, project, resize) in enumerate(
                zip(taps, self.projects, self.resize_layers, strict=True), 1
            )
        ]


class DPTHead(Reassemble):
    """Fuse that pyramid from coarse to fine into one feature map."""

    def __init__(self, width: int, size: DPTSize) -> None:
        super().__init__(width, size)
        self.scratch.refinenet4 = Fusion(size.features, skip=False)
        for level in (3, 2, 1):
            self.scratch.add_module(f"refinenet{level}", Fusion(size.features))
        self.scratch.output_conv1 = nn.Conv2d(size.features, size.features // 2, 3, padding=1)

    def forward(self, taps: list[Tensor]) -> Tensor:
        """Map four (B, width, h, w) to (B, features / 2, 8 h, 8 w)."""
        part = self.scratch.get_submodule
        l1, l2, l3, l4 = self.pyramid(taps)
        path = part("refinenet4")(l4, None, fix_size(l3))  # (B, F, h, w)
        path = part("refinenet3")(path, l3, fix_size(l2))  # (B, F, 2 h, 2 w)
        path = part("refinenet2")(path, l2, fix_size(l1))  # (B, F, 4 h, 4 w)
        height, width = fix_size(l1)
        path = part("refinenet1")(path, l1, (2 * height, 2 * width))
        return part("output_conv1")(path)


class Fusion(nn.Module):
    """Add a skip to the coarser path, refine, and enlarge."""

    def __init__(self, features: int, skip: bool = True) -> None:
        super().__init__()
        if skip:
            self.resConfUnit1 = ResidualUnit(features)
        self.resConfUnit2 = ResidualUnit(features)
        self.out_conv = nn.Conv2d(features, features, 1)

    def forward(self, path: Tensor, skip: Tensor | None, size: tuple[int, int]) -> Tensor:
        """Map path and skip, (B, F, h, w) both, to (B, F, *size)."""
        if skip is not None:
            path = path + self.resConfUnit1(skip)
        path = F.interpolate(
            self.resConfUnit2(path), size=size, mode="bilinear", align_corners=True
        )
        return self.out_conv(path)


class ResidualUnit(nn.Module):
    """Two pre-activated 3 x 3 convolutions beside the identity."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(features, features, 3, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, F, h, w) to the same."""
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))
