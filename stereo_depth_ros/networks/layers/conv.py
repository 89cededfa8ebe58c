"""Convolutions with norm and activation, residual blocks and the like."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Module):
    """Convolution without bias, norm (where there is one), leaky ReLU (if ``activation``)."""

    def __init__(
        self, conv: nn.Module, norm: nn.Module | None = None, activation: bool = True
    ) -> None:
        super().__init__()
        self.conv = conv
        self.bn = nn.Identity() if norm is None else norm
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, …) to (B, outputs, …)."""
        x = self.bn(self.conv(x))
        return F.leaky_relu(x, 0.01) if self.activation else x


def conv2d(inputs: int, outputs: int, kernel: int) -> ConvNorm:
    """Return a batch-normed 2-D convolution."""
    conv = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False)
    return ConvNorm(conv, nn.BatchNorm2d(outputs))


def conv3d(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> ConvNorm:
    """Return a batch-normed 3-D convolution."""
    conv = nn.Conv3d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False)
    return ConvNorm(conv, nn.BatchNorm3d(outputs))


def up3d(inputs: int, outputs: int) -> ConvNorm:
    """Return a batch-normed transposed 3-D convolution that doubles all three sides."""
    conv = nn.ConvTranspose3d(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return ConvNorm(conv, nn.BatchNorm3d(outputs))


class AxialPlanar(nn.Module):
    """A convolution within each disparity plane, then one along the disparities alone."""

    def __init__(self, inputs: int, outputs: int, length: int = 17) -> None:
        super().__init__()
        self.conv1 = nn.Sequential(
            nn.Conv3d(inputs, outputs, (1, 3, 3), padding=(0, 1, 1)), nn.BatchNorm3d(outputs)
        )
        self.conv2 = nn.Sequential(
            nn.Conv3d(outputs, outputs, (length, 1, 1), padding=(length // 2, 0, 0)),
            nn.BatchNorm3d(outputs),
        )

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, inputs, D, H, W) to (B, outputs, D, H, W)."""
        return F.relu(self.conv2(F.relu(self.conv1(volume))))


class Residual3d(nn.Module):
    """Two 3 x 3 x 3 convolutions beside the identity."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm3d(width)
        self.conv2 = nn.Conv3d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm3d(width)

    def forward(self, volume: Tensor) -> Tensor:
        """Map (B, width, D, H, W) to the same."""
        y = F.relu(self.bn1(self.conv1(volume)))
        return F.relu(self.bn2(self.conv2(y)) + volume)


class FeatureGate(nn.Module):
    """Weigh a volume's channels at each pixel by what the left image shows there."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.feat_att = nn.Sequential(
            conv2d(features, features // 2, 1), nn.Conv2d(features // 2, width, 1)
        )

    def forward(self, volume: Tensor, feature: Tensor) -> Tensor:
        """Map (B, width, D, H, W), with a feature (B, features, H, W), to the same."""
        return volume * self.feat_att(feature).sigmoid()[:, :, None]


class UpConv(nn.Module):
    """Double a map, stack the finer ``skip`` on it, one convolution on both; no norms."""

    def __init__(self, inputs: int, up: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.conv1 = ConvNorm(nn.ConvTranspose2d(inputs, up, 4, stride=2, padding=1, bias=False))
        self.conv2 = ConvNorm(nn.Conv2d(up + skip, outputs, 3, padding=1, bias=False))

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Map (B, inputs, H, W) and (B, skip, 2 H, 2 W) to (B, outputs, 2 H, 2 W)."""
        return self.conv2(torch.cat([self.conv1(x), skip], 1))


class ResidualBlock(nn.Module):
    """Two normed 3 x 3 convolutions beside a shortcut, each with a ReLU, and one after the sum.

    ``norm`` makes a norm for a number of channels. With a stride or another width the shortcut is
    a normed 1 x 1 convolution.
    """

    def __init__(
        self, inputs: int, outputs: int, norm: Callable[[int], nn.Module], stride: int = 1
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.norm1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.norm2 = norm(outputs)
        self.downsample = (
            nn.Identity()
            if stride == 1 and inputs == outputs
            else nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), norm(outputs))
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, inputs, H, W) to (B, outputs, H / stride, W / stride)."""
        y = F.relu(self.norm1(self.conv1(x)))
        y = F.relu(self.norm2(self.conv2(y)))
        return F.relu(self.downsample(x) + y)


class MLP(nn.Module):
    """Two linear layers, four times as wide between, with the exact GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map (…, width) to the same."""
        return self.fc2(F.gelu(self.fc1(tokens)))


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution, a norm (if ``normed``) and two linear layers on channels, added.

    ``inner`` is the number of channels between the linear layers.
    """

    def __init__(self, width: int, inner: int, normed: bool = True) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(width, width, 7, padding=3, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6) if normed else nn.Identity()
        self.pwconv1 = nn.Linear(width, inner)
        self.pwconv2 = nn.Linear(inner, width)
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, width, H, W) to the same."""
        y = self.norm(self.dwconv(x).permute(0, 2, 3, 1))  # (B, H, W, width)
        y = self.gamma * self.pwconv2(F.gelu(self.pwconv1(y)))
        return x + y.permute(0, 3, 1, 2)
