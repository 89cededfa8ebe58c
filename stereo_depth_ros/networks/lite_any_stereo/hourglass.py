"""What filters the matching cost, with the candidate disparities as channels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import ConvNeXtBlock
from stereo_depth_ros.networks.layers.edgenext import ChannelNorm
from stereo_depth_ros.networks.lite_any_stereo.features import (
    FasterNet,
    FasterNetBlock,
    MobileNetFeatures,
)
from stereo_depth_ros.networks.lite_any_stereo.parts import conv, sequence

CANDIDATES = 48  # disparities, one step of 1/4 of the size apart
WIDTHS = (CANDIDATES, 96, 192)  # at 1/4, 1/8 and 1/16


class Attention(nn.Module):
    """Weigh the cost by what the left image shows around it, in long thin windows."""

    def __init__(self, width: int, features: int) -> None:
        super().__init__()

        def strip(height: int, length: int) -> nn.Conv2d:
            padding = (height // 2, length // 2)
            return nn.Conv2d(width, width, (height, length), padding=padding, groups=width)

        self.conv0 = nn.Conv2d(features, width, 1)
        self.conv0_1, self.conv0_2 = strip(1, 7), strip(7, 1)
        self.conv1_1, self.conv1_2 = strip(1, 11), strip(11, 1)
        self.conv2_1, self.conv2_2 = strip(1, 21), strip(21, 1)
        self.conv3 = nn.Conv2d(width, width, 1)

    def forward(self, cost: Tensor, features: Tensor) -> Tensor:
        """Map (B, width, H, W) and (B, features, H, W) to (B, width, H, W)."""
        x = self.conv0(features)
        small = self.conv0_2(self.conv0_1(x))
        middle = self.conv1_2(self.conv1_1(x))
        large = self.conv2_2(self.conv2_1(x))
        return self.conv3(x + small + middle + large) * cost


def double_odd(inputs: int, outputs: int) -> nn.ConvTranspose2d:
    """Return a transposed convolution to twice the size with a kernel of odd length."""
    return nn.ConvTranspose2d(inputs, outputs, 3, stride=2, padding=1, output_padding=1, bias=False)


class FasterNetHourglass(nn.Module):
    """LAS2's filter at 1/4, 1/8 and 1/16: ``depths`` FasterNet blocks, ``ratio`` times as wide."""

    def __init__(self, depths: tuple[int, int, int], ratio: int) -> None:
        super().__init__()

        def filters(width: int, depth: int) -> nn.Sequential:
            blocks = (FasterNetBlock(width, ratio) for _ in range(depth))
            return nn.Sequential(*(sequence(block=block) for block in blocks))

        def halve(width: int) -> nn.Sequential:
            proj = nn.Sequential(conv(width, 2 * width, 3, stride=2), nn.BatchNorm2d(2 * width))
            return sequence(proj=proj, block=FasterNetBlock(2 * width, ratio))

        c4, c8, c16 = WIDTHS
        p2, p3, p4, _ = FasterNet.WIDTHS
        self.conv0 = filters(c4, depths[0])
        self.att0 = Attention(c4, p2)
        self.conv1 = halve(c4)
        self.conv2 = filters(c8, depths[1] - 1)
        self.att2 = Attention(c8, p3)
        self.conv3 = halve(c8)
        self.conv4 = filters(c16, depths[2] - 1)
        self.att4 = Attention(c16, p4)
        self.conv5 = nn.Sequential(double_odd(c16, c8), nn.BatchNorm2d(c8))
        self.redir2 = sequence(block=FasterNetBlock(c8, ratio))
        self.conv6 = nn.Sequential(double_odd(c8, c4), nn.BatchNorm2d(c4))
        self.redir1 = sequence(block=FasterNetBlock(c4, ratio))

    def forward(self, cost: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Filter (B, 48, H/4, W/4), with the left features of three scales, to the same."""
        x4 = self.att0(self.conv0(cost), p2)  # (B, 48, H/4, W/4)
        x8 = self.att2(self.conv2(self.conv1(x4)), p3)  # (B, 96, H/8, W/8)
        x16 = self.att4(self.conv4(self.conv3(x8)), p4)  # (B, 192, H/16, W/16)
        x8 = F.relu(self.conv5(x16) + self.redir2(x8))  # (B, 96, H/8, W/8)
        return F.relu(self.conv6(x8) + self.redir1(x4))  # (B, 48, H/4, W/4)


class ConvNeXtHourglass(nn.Module):
    """LAS1's filter at 1/4, 1/8 and 1/16, made of ConvNeXt blocks."""

    def __init__(self) -> None:
        super().__init__()

        def filters(width: int, depth: int) -> nn.Sequential:
            return nn.Sequential(*(ConvNeXtBlock(width, 4 * width) for _ in range(depth)))

        def halve(width: int) -> nn.Sequential:
            return nn.Sequential(ChannelNorm(width), nn.Conv2d(width, 2 * width, 2, stride=2))

        c4, c8, c16 = WIDTHS
        p2, p3, p4, _ = MobileNetFeatures.WIDTHS
        self.conv0 = filters(c4, 4)
        self.att4 = Attention(c4, p2)
        self.conv1 = halve(c4)
        self.conv2 = filters(c8, 7)
        self.att8 = Attention(c8, p3)
        self.conv3 = halve(c8)
        self.conv4 = filters(c16, 15)
        self.att16 = Attention(c16, p4)
        self.upconv1 = nn.Sequential(double_odd(c16, c8))
        self.redir2 = ConvNeXtBlock(c8, 4 * c8)
        self.upconv2 = nn.Sequential(double_odd(c8, c4))
        self.redir1 = ConvNeXtBlock(c4, 4 * c4)

    def forward(self, cost: Tensor, p2: Tensor, p3: Tensor, p4: Tensor) -> Tensor:
        """Filter (B, 48, H/4, W/4), with the left features of three scales, to the same."""
        x4 = self.att4(self.conv0(cost), p2)  # (B, 48, H/4, W/4)
        x8 = self.att8(self.conv2(self.conv1(x4)), p3)  # (B, 96, H/8, W/8)
        x16 = self.att16(self.conv4(self.conv3(x8)), p4)  # (B, 192, H/16, W/16)
        x8 = F.relu(self.upconv1(x16) + self.redir2(x8))  # (B, 96, H/8, W/8)
        # Unlike in LAS2, this skip starts at the input, not at x4.
        return F.relu(self.upconv2(x8) + self.redir1(cost))


class Conv3dUnit(nn.Module):
    """Convolution over disparities and pixels, norm and activation."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv3d(inputs, outputs, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm3d(outputs)

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, inputs, D, H, W) to (B, outputs, D, H, W), 0 to 6."""
        return F.relu6(self.bn(self.conv(volume)))
