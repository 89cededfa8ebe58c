"""Features of both views, first each by itself, then with what the other one shows."""

from __future__ import annotations

from torch import Tensor, nn

from stereo_depth_ros.networks.s2m2.attention import CrossBlock
from stereo_depth_ros.networks.s2m2.blocks import FourScales, GatedFusion, conv, two_convs


class Backbone(nn.Module):
    """Features of each image at 1/4 and 1/2."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv0 = two_convs(3, 16, 16, (1, 1))
        self.conv1_down = nn.Sequential(conv(16, 64, 5, stride=2), nn.GELU(), conv(64, channels, 3))
        self.norm1 = nn.GroupNorm(8, channels)
        self.conv2 = two_convs(channels, channels, channels, (3, 3))
        self.conv2_down = nn.Sequential(conv(channels, channels, 3, stride=2))

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Map (2B, 3, H, W) to (2B, C, H4, W4) and (2B, C, H2, W2)."""
        half = self.norm1(self.conv1_down(self.conv0(images)))
        half = half + self.conv2(half)
        return self.conv2_down(half), half


class Transformer(nn.Module):
    """Stages in which both views exchange what they show at four scales."""

    def __init__(self, channels: int, stages: int) -> None:
        super().__init__()
        self.uformer_list = nn.ModuleList(TransformerStage(channels) for _ in range(stages))

    def forward(self, scales: tuple[Tensor, ...]) -> Tensor:
        """Map the pyramid to features (2B, C, H4, W4)."""
        for stage in self.uformer_list:
            scales = stage(*scales)
        return scales[0]


class TransformerStage(FourScales):
    """Attention along rows at 1/4 to 1/16 and over the whole map at 1/32, down and up again."""

    def __init__(self, channels: int) -> None:
        c0, c1, c2 = channels, channels, 2 * channels
        super().__init__(c0, c1, c2)
        sizes = (c0, 1), (c1, 2), (c2, 4)  # width, heads
        self.enc_attn0, self.enc_attn1, self.enc_attn2 = (
            CrossBlock(*size, rows=True) for size in sizes
        )
        self.up_concat0, self.up_concat1, self.up_concat2 = map(GatedFusion, (c0, c1, c2))
        self.dec_attn0, self.dec_attn1, self.dec_attn2 = (
            CrossBlock(*size, rows=True) for size in sizes
        )
        self.down_concat1 = GatedFusion(c1)
        self.down_concat2 = GatedFusion(c2)
        self.down_concat3 = GatedFusion(c2)
        self.enc_attn3s = nn.ModuleList(CrossBlock(c2, 8, rows=False) for _ in range(2))
        self.dec_attn3s = nn.ModuleList(CrossBlock(c2, 8, rows=False) for _ in range(2))

    def forward(self, z0: Tensor, z1: Tensor, z2: Tensor, z3: Tensor) -> tuple[Tensor, ...]:
        """Map (2B, C, H4, W4), (2B, C, H8, W8), (2B, 2C, H16, W16), (2B, 2C, H32, W32) to these."""
        z0 = self.enc_attn0(z0)
        z1 = self.enc_attn1(self.down_concat1(z1, self.down_conv0(z0)))
        z2 = self.enc_attn2(self.down_concat2(z2, self.down_conv1(z1)))
        z3 = self.down_concat3(z3, self.down_conv2(z2))
        for block in (*self.enc_attn3s, *self.dec_attn3s):
            z3 = block(z3)
        z2 = self.dec_attn2(self.up_concat2(z2, self.up_conv2(z3)))
        z1 = self.dec_attn1(self.up_concat1(z1, self.up_conv1(z2)))
        z0 = self.dec_attn0(self.up_concat0(z0, self.up_conv0(z1)))
        return z0, z1, z2, z3
