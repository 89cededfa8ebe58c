"""`lite`: a small stereo network for two CPU cores and small Jetsons.

Both views pass one feature pyramid. Cosine correlations at 1/4, 1/8 and 1/16, added up at 1/4, are
a 2-D map with one channel for each candidate disparity; a U-Net under the left features corrects
it; the expectation around the best candidate is the coarse disparity. Raised to 1/2 by learned
convex combinations, it is refined by a second, narrow correlation around itself, then raised to
full resolution in the same way.
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
    """What one pass yields."""

    disparity: Tensor  # (B, 1, H, W), px
    confidence_logit: Tensor  # (B, 1, H, W)
    half: Tensor  # (B, 1, H/2, W/2) before refinement, in steps of 2 px
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


def double(x: Tensor) -> Tensor:
    """Return (B, C, H, W) at twice the size, (B, C, 2H, 2W)."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


class Merge(nn.Module):
    """Bring a coarser map up to a finer one and join them."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.up = nn.Conv2d(coarse, fine, 1)
        self.join = conv(fine, fine)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """Map (B, coarse, H/2, W/2) and (B, fine, H, W) to (B, fine, H, W)."""
        return self.join(fine + double(self.up(coarse)))


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
        self.merge_half = Merge(32, 16)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Map images (B, 3, H, W), -1 to 1, to features, finest first."""
        half = self.to_half(image)
        quarter = self.quarter(half)
        eighth = self.eighth(quarter)
        sixteenth = self.sixteenth(eighth)
        eighth = self.merge_eighth(sixteenth, eighth)
        quarter = self.merge_quarter(eighth, quarter)
        return self.merge_half(quarter, half), quarter, eighth, sixteenth


def correlation(left: Tensor, right: Tensor, candidates: int) -> Tensor:
    """Return left(x) . right(x - d) for d = 0 .. candidates - 1, 0 outside the right view.

    ``left``, ``right`` (B, C, H, W) to (B, candidates, H, W). All pairs of a row come from one
    matrix product, whose diagonals a change of stride turns into columns: a few large operations
    where one a candidate would starve a CPU.
    """
    batch, _, height, width = left.shape
    reached = min(candidates, width)
    # A row of zeros ahead makes W rows of W + 1 of the W + 1 rows of W: (x, W - d) is then the
    # pair of x and x - d, or for x < d one of the row above.
    rows = F.pad(left.permute(0, 2, 3, 1), (0, 0, 1, 0))
    pairs = rows @ right.permute(0, 2, 1, 3)
    sheared = pairs.reshape(batch, height, width, width + 1)
    volume = sheared[..., width + 1 - reached :].flip(3).permute(0, 3, 1, 2)
    x = torch.arange(width, device=left.device)
    inside = x >= torch.arange(reached, device=left.device).view(-1, 1, 1)
    return F.pad(volume * inside, (0, 0, 0, 0, 0, candidates - reached))


class Matching(nn.Module):
    """Cosine correlation volumes at 1/4, 1/8 and 1/16 and their sum at 1/4.

    The coarse ones see more of a scene, and so decide where the fine one has nothing to go by.
    """

    between2: Tensor
    between4: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.sharpness = nn.Parameter(torch.tensor([12.0, 6.0, 3.0]))
        for scale in (2, 4):
            # Candidate k at 1/4 lies at k / scale among the coarse ones: linear interpolation.
            coarse = torch.arange(CANDIDATES // scale)
            fine = (torch.arange(CANDIDATES) / scale).clamp(max=CANDIDATES // scale - 1)
            between = (1 - (fine[:, None] - coarse).abs()).clamp(min=0)
            self.register_buffer(f"between{scale}", between[:, :, None, None], persistent=False)

    def forward(self, left: list[Tensor], right: list[Tensor]) -> tuple[list[Tensor], Tensor]:
        """Map features at 1/4, 1/8, 1/16 to volumes (B, 48, 24 and 12, …) and (B, 48, H/4, W/4)."""
        # Half precision would round the logits that are to tell two candidates apart.
        with torch.autocast(left[0].device.type, enabled=False):
            return self._match(left, right)

    def _match(self, left: list[Tensor], right: list[Tensor]) -> tuple[list[Tensor], Tensor]:
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


def expectation(probability: Tensor, values: Tensor) -> Tensor:
    """Return the mean (B, 1, H, W) of ``values`` (C), in rising order, under (B, C, H, W)."""
    return (probability * values.view(1, -1, 1, 1)).sum(1, keepdim=True)


def around_best(probability: Tensor, radius: int = 2) -> Tensor:
    """Return ``probability`` (B, C, H, W) without what is not near its peak, its sum 1 again.

    A second, small peak far away would pull the mean of all into the empty space between.
    """
    steps = torch.arange(probability.shape[1], device=probability.device).view(1, -1, 1, 1)
    near = (steps - probability.argmax(1, keepdim=True)).abs() <= radius
    kept = probability * near
    return kept / kept.sum(1, keepdim=True)


class Upsampling(nn.Module):
    """Disparity at twice the resolution, as convex combinations of 3x3 neighbours."""

    def __init__(self, known: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(known, 9 * 4, 1)

    def forward(self, disparity: Tensor, known: Tensor) -> Tensor:
        """Map (B, 1, H, W) and what is ``known`` there, (B, known, H, W), to (B, 1, 2H, 2W).

        Both disparities count in pixels of their own resolution.
        """
        height, width = disparity.shape[2:]
        # Nine weights for each of the 4 pixels of a coarse one; the bound keeps exp in float16.
        weights = self.weights(known).float().clamp(-8, 8).exp()
        padded = F.pad(2 * disparity, (1, 1, 1, 1), mode="replicate")
        total = value = torch.zeros_like(disparity)
        for tap, weight in enumerate(weights.split(4, dim=1)):
            row, column = divmod(tap, 3)
            total = total + weight
            value = value + weight * padded[:, :, row : row + height, column : column + width]
        return F.pixel_shuffle(value / total, 2)


def warp(right: Tensor, disparity: Tensor) -> Tensor:
    """Return right(x - disparity), (B, C, H, W), 0 outside the view."""
    height, width = right.shape[2:]
    x = torch.arange(width, device=right.device, dtype=torch.float32).view(1, 1, width)
    y = torch.linspace(-1, 1, height, device=right.device).view(1, height, 1)
    x = (x - disparity.squeeze(1)) * (2 / (width - 1)) - 1
    grid = torch.stack([x, y.expand_as(x)], 3)
    return F.grid_sample(right, grid, mode="bilinear", padding_mode="zeros", align_corners=True)


class Refinement(nn.Module):
    """A second look at 1/2: the candidates within 2 pixels of a disparity there."""

    RADIUS = 2
    CHANNELS = 32

    def __init__(self, known: int) -> None:
        super().__init__()
        candidates = 2 * self.RADIUS + 1
        self.sharpness = nn.Parameter(torch.tensor(12.0))
        self.raise_known = nn.Conv2d(known, 16, 1)
        self.entry = conv(candidates + 16 + 16 + 1, self.CHANNELS)
        self.body = Residual(self.CHANNELS)
        self.score = nn.Conv2d(self.CHANNELS, candidates, 1)

    def forward(
        self, disparity: Tensor, left: Tensor, right: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return the better disparity and ``CHANNELS`` features, both at 1/2.

        ``disparity`` (B, 1, H/2, W/2) in its pixels, ``left`` and ``right`` features there,
        ``known`` (B, known, H/4, W/4).
        """
        scores = self.sharpness * self.correlate(disparity, left, right)
        seen = torch.cat([scores, left, double(self.raise_known(known)), disparity / 16], 1)
        features = self.body(self.entry(seen))
        probability = softmax(scores + self.score(features).float())
        steps = torch.arange(-self.RADIUS, self.RADIUS + 1, device=left.device)
        return (disparity + expectation(probability, steps)).clamp(min=0), features

    def correlate(self, disparity: Tensor, left: Tensor, right: Tensor) -> Tensor:
        """Return the cosines (B, 5, H/2, W/2) of the candidates around ``disparity``.

        The right view is sampled once, at ``disparity``; a candidate k pixels further lies k
        columns aside there, exactly so where the disparity is the same at both.
        """
        radius, width = self.RADIUS, left.shape[3]
        left = F.normalize(left.float(), dim=1)
        moved = F.pad(warp(F.normalize(right.float(), dim=1), disparity), (radius, radius))
        return torch.cat(
            [
                (left * moved[..., radius - k : radius - k + width]).sum(1, keepdim=True)
                for k in range(-radius, radius + 1)
            ],
            1,
        )


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
        # Features at 1/2 hold the edges that 1/4 has lost.
        self.edges = conv(16, 32, stride=2)
        self.mix = nn.Sequential(conv(48 + 32 + 32, 48, kernel=1), conv(48, 48))
        self.to_half = Upsampling(48)
        self.refinement = Refinement(48)
        self.to_full = Upsampling(Refinement.CHANNELS)
        self.confidence = nn.Sequential(
            conv(Refinement.CHANNELS + 1, 16, kernel=1), nn.Conv2d(16, 1, 1)
        )
        # Of the expectation, which a sharp distribution draws towards whole candidates.
        self.shift = nn.Conv2d(48, 1, 1)
        for value in self.shift.parameters():
            nn.init.zeros_(value)

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
        batch = left.shape[0]
        both = self.pyramid(images)
        half, *seen = (x[:batch] for x in both)
        half_right, *seen_right = (x[batch:] for x in both)
        volumes, total = self.matching(seen, seen_right)
        aggregated = self.aggregation(volumes, seen)
        # The U-Net corrects what plain matching says, which learns several times faster than
        # finding out what its 48 channels mean.
        logits = total + self.score(aggregated).float()
        if self.max_disparity < SPAN:
            logits = logits[:, : -(-self.max_disparity // 4)]
        probability = softmax(logits)
        candidates = torch.arange(logits.shape[1], device=logits.device)
        quarter = expectation(around_best(probability), candidates)
        known = self.mix(torch.cat([aggregated, seen[0], self.edges(half)], 1))
        first = self.to_half(quarter + self.shift(known).float(), known)
        second, features = self.refinement(first, half, half_right, known)
        disparity = self.to_full(second, features)
        mass = double(mass_around(probability, quarter))
        # Detached: the head reads what is there, and does not trade disparity for confidence.
        confidence = self.confidence(torch.cat([features, mass], 1).detach())
        return Matches(disparity, double(confidence.float()), first, logits)
