"""What the stages are built of: convolutions, gated fusion and the U-Net."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from stereo_depth_ros.networks.s2m2.attention import GlobalBlock, encode_offsets


def conv(inputs: int, outputs: int, kernel: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    """Return a convolution that keeps the size, but for its stride."""
    return nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=bias)


def two_convs(
    inputs: int,
    between: int,
    outputs: int,
    kernels: tuple[int, int],
    activation: type[nn.Module] = nn.GELU,
    last_bias: bool = True,
) -> nn.Sequential:
    """Return two convolutions with ``between`` channels and an activation between them."""
    first = conv(inputs, between, kernels[0])
    return nn.Sequential(first, activation(), conv(between, outputs, kernels[1], bias=last_bias))


class ConvBlock(nn.Module):
    """The sum of a 3 x 3 and a 1 x 1 branch, without an identity path."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = two_convs(channels, channels, channels, (3, 3))
        self.convs_1x = two_convs(channels, channels, channels, (1, 1), activation=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, h, w) to the same."""
        return self.convs(x) + self.convs_1x(x)


class GatedFusion(nn.Module):
    """A gate between two maps, plus what both together add."""

    def __init__(self, channels: int, kernel: int = 1) -> None:
        super().__init__()
        double = 2 * channels
        self.feature_gate = two_convs(double, channels, channels, (kernel, 1))
        self.feature_fusion = two_convs(double, double, channels, (kernel, 1))

    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        """Map two (B, C, h, w) to one."""
        both = torch.cat([a, b], 1)
        # As published, the gate never opens or closes fully.
        gate = self.feature_gate(both).sigmoid().clamp(0.01, 0.99)
        return self.feature_fusion(both) + gate * a + (1 - gate) * b


class FourScales(nn.Module):
    """The steps between four scales, each half the one before, of widths c0, c1, c2 and c2."""

    def __init__(self, c0: int, c1: int, c2: int) -> None:
        super().__init__()
        widths = (c0, c1), (c1, c2), (c2, c2)
        self.down_conv0, self.down_conv1, self.down_conv2 = (
            nn.Sequential(nn.AvgPool2d(2), conv(fine, coarse, 1)) for fine, coarse in widths
        )
        self.up_conv0, self.up_conv1, self.up_conv2 = (
            nn.Sequential(nn.Upsample(scale_factor=2, mode="bilinear"), conv(coarse, fine, 1))
            for fine, coarse in widths
        )


class UNet(FourScales):
    """Convolutions at three scales and ``2 * blocks`` of global attention at the coarsest."""

    def __init__(
        self, c0: int, c1: int, c2: int, blocks: int = 1, positional: bool = False
    ) -> None:
        super().__init__(c0, c1, c2)
        self.positional = positional
        widths = c0, c1, c2
        self.enc0, self.enc1, self.enc2 = (ConvBlock(width) for width in widths)
        self.concat_conv0, self.concat_conv1, self.concat_conv2 = map(GatedFusion, widths)
        self.dec0, self.dec1, self.dec2 = (ConvBlock(width) for width in widths)
        self.enc3s = nn.ModuleList(GlobalBlock(c2, positional) for _ in range(blocks))
        self.dec3s = nn.ModuleList(GlobalBlock(c2) for _ in range(blocks))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map (B, c0, h, w) to the four scales, its own first."""
        z0 = self.enc0(x)  # (B, c0, h, w)
        z1 = self.enc1(self.down_conv0(z0))  # (B, c1, h/2, w/2)
        z2 = self.enc2(self.down_conv1(z1))  # (B, c2, h/4, w/4)
        z3 = self.down_conv2(z2)  # (B, c2, h/8, w/8)
        offsets = self._offsets(z3) if self.positional else ()
        for block in self.enc3s:
            z3 = block(z3, *offsets)
        for block in self.dec3s:
            z3 = block(z3)
        z2 = self.dec2(self.concat_conv2(z2, self.up_conv2(z3)))
        z1 = self.dec1(self.concat_conv1(z1, self.up_conv1(z2)))
        z0 = self.dec0(self.concat_conv0(z0, self.up_conv0(z1)))
        return z0, z1, z2, z3

    @staticmethod
    def _offsets(z: Tensor) -> tuple[Tensor, ...]:
        """Return the codes of offsets along x (w, w, 16) and y (h, h, 16)."""
        axes = int(z.shape[-1]), int(z.shape[-2])
        return tuple(torch.from_numpy(encode_offsets(cells)).to(z) for cells in axes)
