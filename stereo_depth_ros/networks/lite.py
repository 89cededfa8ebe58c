"""`lite`: a small stereo network for two CPU cores and small Jetsons.

Both views pass one feature pyramid. Cosine correlations at 1/4, 1/8 and 1/16, added up at 1/4, are
a 2-D map with one channel for each candidate disparity; a U-Net under the left features corrects
it; the softmax's expectation is the disparity, raised to full resolution by learned convex
combinations.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.networks.layers.confidence import mass_around

VARIANTS = ("base",)
CANDIDATES = 48  # disparities at 1/4 resolution that the weights were trained for
SPAN = 4 * CANDIDATES  # px


def create(variant: str, **config: int) -> Lite:
    """Build a variant; ``max_disparity`` may be given."""
    return Lite(**config)


class Matches(NamedTuple):
    """What one pass yields: maps (B, 1, H, W) at full size, the rest at 1/4."""

    disparity: Tensor  # px
    confidence_logit: Tensor
    coarse: Tensor  # (B, 1, H/4, W/4), in steps of 4 px
    logits: Tensor  # (B, CANDIDATES, H/4, W/4), of the candidates


def conv(cin: int, cout: int, stride: int = 1, kernel: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(cin, cout, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(cout),
        nn.ReLU(inplace=True),
    )


class Residual(nn.Module):
    """Two 3x3 convolutions around a skip."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, channels, H, W) to the same shape."""
        return F.relu(x + self.second(self.first(x)))


class Merge(nn.Module):
    """Bring a coarser map up to a finer one and join them."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(coarse, fine, 1)
        self.join = conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, coarse, H/2, W/2) and (B, fine, H, W) to (B, fine, H, W)."""
        up = F.interpolate(self.up(coarse), scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.join(fine + up)


class Pyramid(nn.Module):
    """Features at 1/2 (16 channels), 1/4 (32), 1/8 (64) and 1/16 (96)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_half = conv(3, 16, stride=2)
        self.quarter = nn.Sequential(conv(16, 32, stride=2), Residual(32))
        self.eighth = nn.Sequential(conv(32, 64, stride=2), Residual(64))
        self.sixteenth = nn.Sequential(conv(64, 96, stride=2), Residual(96))
        self.merge_eighth = Merge(96, 64)
        self.merge_quarter = Merge(64, 32)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map images (B, 3, H, W), -1 to 1, to features, finest first."""
        half = self.to_half(image)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = self.merge_eighth(sixteenth, eighth)
        return half, self.merge_quarter(eighth, quarter), eighth, sixteenth


def correlation(left: Tensor, right: Tensor, candidates: int) -> Tensor:
    """Return left(x) . right(x - d) for d = 0 .. candidates - 1, 0 outside the right view.

    ``left``, ``right`` (B, C, H, W) to (B, candidates, H, W). All pairs of a row come from one
    matrix product, whose diagonals a change of stride turns into columns: a few large operations
    where one a candidate would starve a CPU.
    """
    batch, _, height, width = left.shape
    # (B, H, W_left, W_right)
    pairs = left.permute(0, 2, 3, 1) @ right.permute(0, 2, 1, 3)
    padded = F.pad(pairs, (candidates - 1, 0)).flatten(2)
    sheared = F.pad(padded, (0, width)).view(batch, height, width, width + candidates)
    # Column j of the band is candidate candidates - 1 - j.
    return sheared[..., :candidates].permute(0, 3, 1, 2).flip(1)


class Matching(nn.Module):
    """Cosine correlation volumes at 1/4, 1/8 and 1/16 and their sum at 1/4.

    The coarse ones see more of a scene, and so decide where the fine one has nothing to go by.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor([12.0, 6.0, 3.0]))
        for scale in (2, 4):
            # Candidate k at 1/4 lies at k / scale among the coarse ones: linear interpolation.
            fine = torch.arange(CANDIDATES) / scale
            coarse = torch.arange(CANDIDATES // scale)
            between = (1 - (fine[:, None] - coarse).abs()).clamp(min=0)
            self.register_buffer(f"between{scale}", between[:, :, None, None], persistent=False)

    def forward(self, left: list[Tensor], right: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Map features at 1/4, 1/8, 1/16 to volumes (B, 48, 24 and 12, …) and (B, 48, H/4, W/4)."""
        volumes = [
            self.sharpness[i]
            * correlation(
                F.normalize(left[i].float(), dim=1),
                F.normalize(right[i].float(), dim=1),
                CANDIDATES >> i,
            )
            for i in range(3)
        ]
        total = volumes[0]
        for volume, scale, between in (
            (volumes[1], 2.0, self.between2),
            (volumes[2], 4.0, self.between4),
        ):
            spread = F.conv2d(volume, between)
            total = total + F.interpolate(
                spread, scale_factor=scale, mode="bilinear", align_corners=False
            )
        return volumes, total


class Aggregation(nn.Module):
    """U-Net over the volumes: to 48 channels at 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.entry = conv(CANDIDATES + 32, 48)
        self.quarter = Residual(48)
        self.down8 = conv(48, 96, stride=2)
        self.eighth = nn.Sequential(conv(96 + 24 + 64, 96, kernel=1), Residual(96))
        self.down16 = conv(96, 128, stride=2)
        self.sixteenth = nn.Sequential(
            conv(128 + 12 + 96, 128, kernel=1), Residual(128), Residual(128)
        )
        self.up8 = Merge(128, 96)
        self.up4 = Merge(96, 48)

    def forward(self, volumes: list[Tensor], left: list[Tensor]) -> Tensor:
        """Map the volumes and left features of 1/4, 1/8, 1/16 to (B, 48, H/4, W/4)."""
        fine = self.quarter(self.entry(torch.cat([volumes[0], left[0]], 1)))
        middle = self.eighth(torch.cat([self.down8(fine), volumes[1], left[1]], 1))
        coarse = self.sixteenth(torch.cat([self.down16(middle), volumes[2], left[2]], 1))
        return self.up4(self.up8(coarse, middle), fine)


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the channels of (B, C, H, W).

    Written out because ONNX Runtime's own transposes the map twice for any axis but the last.
    """
    raised = (logits - logits.amax(1, keepdim=True)).exp()
    return raised / raised.sum(1, keepdim=True)


class Upsampling(nn.Module):
    """Full-resolution disparity as convex combinations of 3x3 coarse neighbours."""

    def __init__(self) -> None:
        super().__init__()
        # Features at 1/2 hold the edges that 1/4 has lost.
        self.edges = conv(16, 32, stride=2)
        self.mix = nn.Sequential(conv(48 + 32 + 32, 48, kernel=1), conv(48, 48))
        self.weights = nn.Conv2d(48, 9 * 16, 1)

    def forward(self, coarse: Tensor, aggregated: Tensor, quarter: Tensor, half: Tensor) -> Tensor:
        """Map (B, 1, H/4, W/4) in steps of 4 px to (B, 1, H, W) in px."""
        height, width = coarse.shape[2:]
        known = torch.cat([aggregated, quarter, self.edges(half)], 1)
        # Nine weights for each of the 16 pixels of a coarse one; the bound keeps exp in float16.
        weights = self.weights(self.mix(known)).float().clamp(-8, 8).exp()
        padded = F.pad(4 * coarse, (1, 1, 1, 1), mode="replicate")
        total = value = torch.zeros_like(coarse)
        for tap, weight in enumerate(weights.split(16, dim=1)):
            row, column = divmod(tap, 3)
            total = total + weight
            value = value + weight * padded[:, :, row : row + height, column : column + width]
        return F.pixel_shuffle(value / total, 4)


class Lite(StereoNetwork):
    """See the module. Its ``confidence`` is a head trained to tell small errors from large ones.

    The volume spans 192 px. For a smaller ``max_disparity`` the candidates beyond it are left out;
    for a larger one the images are matched at a reduced size and the disparity scaled back.
    """

    name = "lite"
    variant = "base"
    licence = "Apache-2.0"
    multiple = 16

    def __init__(self, max_disparity: int = SPAN) -> None:
        super().__init__()
        if max_disparity < 16:
            raise ValueError(f"max_disparity is {max_disparity}, at least 16 px are needed")
        self.max_disparity = max_disparity
        self.pyramid = Pyramid()
        self.matching = Matching()
        self.aggregation = Aggregation()
        self.score = nn.Conv2d(48, CANDIDATES, 1)
        self.upsampling = Upsampling()
        self.confidence = nn.Sequential(conv(48 + 1, 32, kernel=1), nn.Conv2d(32, 1, 1))

    def forward(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a rectified pair, float32 (B, 3, H, W) RGB 0 to 255 each, of any H and W."""
        if self.max_disparity <= SPAN:
            return super().forward(left, right)
        height, width = (int(side) for side in left.shape[2:])
        scale = SPAN / self.max_disparity
        size = (round(height * scale), round(width * scale))
        small = (F.interpolate(image, size, mode="bilinear") for image in (left, right))
        disparity, confidence = (
            F.interpolate(x, (height, width), mode="bilinear") for x in super().forward(*small)
        )
        return StereoOutput(disparity * (width / size[1]), confidence)

    def match(self, left: Tensor, right: Tensor) -> StereoOutput:
        """Match a pair whose size is a multiple of ``multiple``; see ``forward``."""
        matches = self.matches(left, right)
        return StereoOutput(matches.disparity, matches.confidence_logit.sigmoid())

    def matches(self, left: Tensor, right: Tensor) -> Matches:
        """Return all that training looks at, for (B, 3, H, W) images, H and W multiples of 16."""
        images = torch.cat([left, right]) / 127.5 - 1
        half, *features = self.pyramid(images)
        batch = left.shape[0]
        seen = [x[:batch] for x in features]
        volumes, total = self.matching(seen, [x[batch:] for x in features])
        aggregated = self.aggregation(volumes, seen)
        # The U-Net corrects what plain matching says, which learns several times faster than
        # finding out what its 48 channels mean.
        logits = total + self.score(aggregated).float()
        if self.max_disparity < SPAN:
            logits = logits[:, : -(-self.max_disparity // 4)]
        probability = softmax(logits)
        candidates = torch.arange(logits.shape[1], device=logits.device, dtype=torch.float32).view(
            1, -1, 1, 1
        )
        coarse = (probability * candidates).sum(1, keepdim=True)
        disparity = self.upsampling(coarse, aggregated, seen[0], half[:batch])
        mass = mass_around(probability, coarse)
        known = torch.cat([aggregated, mass], 1).detach()
        confidence = F.interpolate(
            self.confidence(known).float(), scale_factor=4.0, mode="bilinear", align_corners=False
        )
        return Matches(disparity, confidence, coarse, logits)
