"""EdgeNeXt-S (Maaz et al. 2022), with keys as in timm's ``edgenext_small``, and an up path."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.conv import MLP, ConvNorm
from stereo_depth_ros.networks.layers.normalisation import InstanceNorm
from stereo_depth_ros.networks.layers.size import fix_size

WIDTHS = (48, 96, 160, 304)
_DEPTHS = (3, 3, 9, 3)
_KERNELS = (3, 5, 7, 9)
_HEADS = 8
_CODE = 32  # channels of the position code for each axis


class ChannelNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, H, W)."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ConvBlock(nn.Module):
    """Depthwise convolution, norm and MLP beside the identity, as in ConvNeXt."""

    def __init__(self, width: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        y = self.conv_dw(x).permute(0, 2, 3, 1)  # (B, H, W, width)
        y = self.gamma * self.mlp(self.norm(y))
        return x + y.permute(0, 3, 1, 2)


class CrossCovariance(nn.Module):
    """Attention between channels: the weights are (C / heads)² whatever the number of tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(_HEADS, 1, 1))
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (B, N, width) to the same."""
        qkv = self.qkv(tokens).unflatten(2, (3, _HEADS, -1))
        q, k, v = qkv.permute(2, 0, 3, 4, 1)  # 3 x (B, heads, C / heads, N)
        # Sums of squares over all tokens would leave the range of half precision.
        q, k = (F.normalize(side.float(), dim=-1, eps=1e-12) for side in (q, k))
        attention = (q @ k.transpose(-2, -1) * self.temperature).softmax(-1)
        return self.proj((attention.to(v.dtype) @ v).flatten(1, 2).transpose(1, 2))


class SplitBlock(nn.Module):
    """A cascade of depthwise convolutions on slices of the channels, then channel attention."""

    def __init__(self, width: int, convs: int, position: bool) -> None:
        super().__init__()
        self.slice = math.ceil(width / (convs + 1))
        self.convs = nn.ModuleList(
            nn.Conv2d(self.slice, self.slice, 3, padding=1, groups=self.slice) for _ in range(convs)
        )
        self.pos_embd = PositionCode(width) if position else None
        self.norm_xca = nn.LayerNorm(width, eps=1e-6)
        self.gamma_xca = nn.Parameter(torch.ones(width))
        self.xca = CrossCovariance(width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.mlp = MLP(width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        *slices, last = x.split(self.slice, 1)  # the last may be narrower; it passes unchanged
        y, outputs = torch.zeros_like(slices[0]), []
        for conv, part in zip(self.convs, slices, strict=True):
            y = conv(y + part)
            outputs.append(y)
        y = torch.cat([*outputs, last], 1)
        if self.pos_embd is not None:
            y = y + self.pos_embd(*fix_size(x))
        tokens = y.flatten(2).transpose(1, 2)  # (B, N, width)
        tokens = tokens + self.gamma_xca * self.xca(self.norm_xca(tokens))
        # The identity is the block's input: the tokens before the MLP are not added again.
        tokens = self.gamma * self.mlp(self.norm(tokens))
        return x + tokens.transpose(1, 2).unflatten(2, fix_size(x))


class PositionCode(nn.Module):
    """Sines and cosines of row and column, mixed to ``width`` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.token_projection = nn.Conv2d(2 * _CODE, width, 1)

    def forward(self, height: int, width: int) -> Tensor:
        """Return the code of a map, (1, width, height, width)."""
        rows = np.repeat(_code(height)[:, :, None], width, 2)
        columns = np.repeat(_code(width)[:, None, :], height, 1)
        code = torch.from_numpy(np.concatenate([rows, columns])[None])  # (1, 64, H, W)
        return self.token_projection(code.to(self.token_projection.weight))


def _code(length: int) -> np.ndarray:
    """Return (32, length): at i = 1 … length, sine and cosine of falling frequencies in turn."""
    phase = np.arange(1, length + 1) * (2 * np.pi / (length + 1e-6))
    angle = phase / 10000.0 ** (np.arange(0, _CODE, 2) / _CODE)[:, None]
    return np.stack([np.sin(angle), np.cos(angle)], 1).reshape(_CODE, length).astype(np.float32)


class Stage(nn.Module):
    """Halve the map (but for stage 0), then the blocks."""

    def __init__(self, index: int) -> None:
        super().__init__()
        width = WIDTHS[index]
        self.downsample: nn.Module = nn.Identity()
        blocks: list[nn.Module] = [ConvBlock(width, _KERNELS[index]) for _ in range(_DEPTHS[index])]
        if index > 0:
            previous = WIDTHS[index - 1]
            self.downsample = nn.Sequential(
                ChannelNorm(previous), nn.Conv2d(previous, width, 2, stride=2)
            )
            blocks[-1] = SplitBlock(width, convs=index, position=index == 1)
        self.blocks = nn.Sequential(*blocks)

    def forward(self, x: Tensor) -> Tensor:
        """Map the previous stage's output to this stage's."""
        return self.blocks(self.downsample(x))


class EdgeNeXtPyramid(nn.Module):
    """EdgeNeXt-S and an up path that brings coarse context back to every scale."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, WIDTHS[0], 4, stride=4), ChannelNorm(WIDTHS[0]))
        self.stages = nn.ModuleList(Stage(index) for index in range(len(WIDTHS)))
        self.deconv32_16 = UpBlock(304, 160)
        self.deconv16_8 = UpBlock(320, 96)
        self.deconv8_4 = UpBlock(192, 48)

    def pyramid(self, image: Tensor) -> list[Tensor]:
        """Map (B, 3, H, W) to 96, 192, 320, 304 channels at 1/4, 1/8, 1/16, 1/32."""
        x, skips = self.stem(image), []
        for stage in self.stages:
            x = stage(x)
            skips.append(x)  # 48, 96, 160, 304 channels
        x16 = self.deconv32_16(x, skips[2])
        x8 = self.deconv16_8(x16, skips[1])
        return [self.deconv8_4(x8, skips[0]), x8, x16, x]


class UpBlock(nn.Module):
    """Double a map, stack the finer ``skip`` on it and refine both together."""

    def __init__(self, inputs: int, skip: int) -> None:
        super().__init__()
        deconv = nn.ConvTranspose2d(inputs, skip, 4, stride=2, padding=1, bias=False)
        self.conv1 = ConvNorm(deconv, InstanceNorm())
        self.conv2 = InstanceResidual(2 * skip)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, inputs, H, W) and (B, skip, 2 H, 2 W) to (B, 2 skip, 2 H, 2 W)."""
        return self.conv2(torch.cat([self.conv1(x), skip], 1))


class InstanceResidual(nn.Module):
    """Two instance-normed 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.norm = InstanceNorm()

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        y = F.relu(self.norm(self.conv1(x)))
        return F.relu(self.norm(self.conv2(y)) + x)
