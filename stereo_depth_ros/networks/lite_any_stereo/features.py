"""Features of one view at three scales, from either of two backbones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.normalisation import InstanceNorm
from stereo_depth_ros.networks.lite_any_stereo.parts import Merge, conv, sequence, unit


class Features(nn.Module):
    """A backbone's four scales, merged from coarse to fine."""

    def __init__(self, widths: tuple[int, int, int, int]) -> None:
        super().__init__()
        c2, c3, c4, c5 = widths
        self.fpn_layer4 = Merge(c5, c4)
        self.fpn_layer3 = Merge(c4, c3)
        self.fpn_layer2 = Merge(c3, c2)
        # No activation: these features are correlated, and the norm is all that scales them.
        replicating = nn.Conv2d(c2, c2, 3, padding=1, padding_mode="replicate", bias=False)
        self.out_conv = unit(replicating, InstanceNorm())

    def scales(self, image: Tensor) -> list[Tensor]:
        """Return the backbone's maps at 1/4, 1/8, 1/16 and 1/32 of a normalised image."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return p2 (B, C2, H/4, W/4), p3 (B, C3, H/8, W/8) and p4 (B, C4, H/16, W/16)."""
        c2, c3, c4, c5 = self.scales(image)
        p4 = self.fpn_layer4(c5, c4)
        p3 = self.fpn_layer3(p4, c3)
        p2 = self.fpn_layer2(p3, c2)
        return self.out_conv(p2), p3, p4


class PartialConv(nn.Module):
    """Convolve the first quarter of the channels and pass the others."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mixed = width // 4
        self.partial_conv3 = conv(self.mixed, self.mixed, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        return torch.cat([self.partial_conv3(x[:, : self.mixed]), x[:, self.mixed :]], 1)


class FasterNetBlock(nn.Module):
    """A partial convolution and two pointwise ones, ``ratio`` times as wide between."""

    def __init__(self, width: int, ratio: int) -> None:
        super().__init__()
        self.spatial_mixing = PartialConv(width)
        self.mlp = nn.Sequential(
            conv(width, ratio * width, 1),
            nn.BatchNorm2d(ratio * width),
            nn.GELU(),
            conv(ratio * width, width, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        return x + self.mlp(self.spatial_mixing(x))


class FasterNet(nn.Module):
    """FasterNet-T0 (Chen et al. 2023) without its head."""

    WIDTHS = (40, 80, 160, 320)

    def __init__(self) -> None:
        super().__init__()
        c2, c3, c4, c5 = self.WIDTHS
        self.patch_embed = sequence(
            proj=nn.Conv2d(3, c2, 4, stride=4, bias=False), norm=nn.BatchNorm2d(c2)
        )
        self.stages_0 = sequence(blocks=self._blocks(c2, 1))
        self.stages_1 = sequence(downsample=self._halve(c2), blocks=self._blocks(c3, 2))
        self.stages_2 = sequence(downsample=self._halve(c3), blocks=self._blocks(c4, 8))
        self.stages_3 = sequence(downsample=self._halve(c4), blocks=self._blocks(c5, 2))

    @staticmethod
    def _blocks(width: int, depth: int) -> nn.Sequential:
        return nn.Sequential(*(FasterNetBlock(width, 2) for _ in range(depth)))

    @staticmethod
    def _halve(width: int) -> nn.Sequential:
        reduction = nn.Conv2d(width, 2 * width, 2, stride=2, bias=False)
        return sequence(reduction=reduction, norm=nn.BatchNorm2d(2 * width))

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the maps of all four stages of a normalised image (B, 3, H, W)."""
        c2 = self.stages_0(self.patch_embed(image))  # (B, 40, H/4, W/4)
        c3 = self.stages_1(c2)  # (B, 80, H/8, W/8)
        c4 = self.stages_2(c3)  # (B, 160, H/16, W/16)
        return [c2, c3, c4, self.stages_3(c4)]  # (B, 320, H/32, W/32)


class FasterNetFeatures(Features):
    """LAS2's features."""

    def __init__(self) -> None:
        super().__init__(FasterNet.WIDTHS)
        self.backbone = FasterNet()

    def scales(self, image: Tensor) -> list[Tensor]:
        """Return the backbone's maps; see ``Features``."""
        return self.backbone(image)


class SeparableConv(nn.Module):
    """MobileNetV2's first block: a depthwise and a linear pointwise convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv_dw = conv(inputs, inputs, 3, groups=inputs)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv_pw = conv(inputs, outputs, 1)
        self.bn2 = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H, W)."""
        return self.bn2(self.conv_pw(F.relu6(self.bn1(self.conv_dw(x)))))


class InvertedResidual(nn.Module):
    """Six times as many channels, a depthwise convolution, and linearly back."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        inner = 6 * inputs
        self.conv_pw = conv(inputs, inner, 1)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv_dw = conv(inner, inner, 3, stride, groups=inner)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv_pwl = conv(inner, outputs, 1)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.skips = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = F.relu6(self.bn1(self.conv_pw(x)))
        y = F.relu6(self.bn2(self.conv_dw(y)))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.skips else y


def _residuals(inputs: int, outputs: int, depth: int, stride: int) -> nn.Sequential:
    """Return ``depth`` blocks, the first of which changes width and size."""
    first = InvertedResidual(inputs, outputs, stride)
    return nn.Sequential(first, *(InvertedResidual(outputs, outputs, 1) for _ in range(depth - 1)))


class MobileNetFeatures(Features):
    """LAS1's features: MobileNetV2 (Sandler et al. 2018) without its last stage."""

    WIDTHS = (24, 32, 96, 160)

    def __init__(self) -> None:
        super().__init__(self.WIDTHS)
        self.conv_stem = conv(3, 32, 3, stride=2)
        self.bn1 = nn.BatchNorm2d(32)
        self.block0 = nn.Sequential(SeparableConv(32, 16))
        self.block1 = _residuals(16, 24, 2, stride=2)
        self.block2 = _residuals(24, 32, 3, stride=2)
        # Two of MobileNetV2's stages share this scale and keep their numbers.
        stages = {"3": _residuals(32, 64, 4, stride=2), "4": _residuals(64, 96, 3, stride=1)}
        self.block3 = sequence(**stages)
        self.block4 = _residuals(96, 160, 3, stride=2)

    def scales(self, image: Tensor) -> list[Tensor]:
        """Return the backbone's maps; see ``Features``."""
        half = self.block0(F.relu6(self.bn1(self.conv_stem(image))))  # (B, 16, H/2, W/2)
        c2 = self.block1(half)  # (B, 24, H/4, W/4)
        c3 = self.block2(c2)  # (B, 32, H/8, W/8)
        c4 = self.block3(c3)  # (B, 96, H/16, W/16)
        return [c2, c3, c4, self.block4(c4)]  # (B, 160, H/32, W/32)
