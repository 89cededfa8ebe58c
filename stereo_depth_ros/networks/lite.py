"""`lite`: a small stereo network that looks where matching is hard.

A classical matcher measures textured surfaces better than a network of this size; it fails where
nothing can be matched: blank walls, sky, reflections, what one view alone sees. So `lite` takes its
answer as a prior, and chooses, corrects, fills and rates. Without a prior it matches by itself.

Both views pass one feature pyramid. Cosine correlations at 1/4, 1/8 and 1/16, added up at 1/4, are
a 2-D map with one channel for each candidate disparity, to which the prior is added; a U-Net under
the left features corrects it. Around its highest peak lies the matched disparity. Raised to 1/2 by
learned convex combinations and refined there, it goes to full resolution in the same way. There
every pixel takes it or the prior, judged by how well either explains the left view by the right
one.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput, check_views, prior_of

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
    matched: Tensor  # (B, 1, H, W), px, the network's own
    choice: Tensor  # (B, 1, H, W), logit of taking it rather than the prior
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


def nearest(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return (B, C, H, W) at another ``size`` (height, width), every pixel as one of ``x``.

    By whole numbers: in a Resize, runtimes round to different neighbours.
    """
    for axis, side in zip((2, 3), size, strict=True):
        steps = torch.arange(side, device=x.device)
        x = x.index_select(axis, (2 * steps + 1) * int(x.shape[axis]) // (2 * side))
    return x


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
    """Features at 1/2 (16 channels), 1/4 (24), 1/8 (48) and 1/16 (72)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_half = conv(3, 16, stride=2)
        self.quarter = nn.Sequential(conv(16, 24, stride=2), conv(24, 24))
        self.eighth = nn.Sequential(conv(24, 48, stride=2), Residual(48))
        self.sixteenth = nn.Sequential(conv(48, 72, stride=2), Residual(72))
        self.merge_eighth = Merge(72, 48)
        self.merge_quarter = Merge(48, 24)

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


class Prior(NamedTuple):
    """A matcher's answer summed up over blocks of 4 x 4 pixels, (B, 1, H/4, W/4) each.

    ``near`` and ``far`` are the largest and the smallest disparity there, in steps of 4 px;
    ``confidence`` is the mean of all 16 pixels.
    """

    near: Tensor
    far: Tensor
    confidence: Tensor


def summarise(prior: Tensor, confidence: Tensor) -> Prior:
    """Sum up ``prior`` (B, 1, H, W), px, and its ``confidence``, 0 for a guess."""
    near, far = F.max_pool2d(prior, 4), -F.max_pool2d(-prior, 4)
    return Prior(near / 4, far / 4, F.avg_pool2d(confidence, 4))


class Aggregation(nn.Module):
    """U-Net over the volumes: to 32 channels at 1/4."""

    def __init__(self) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.tensor([8.0, 1.0]))  # in what is known, and in a guess
        self.entry = conv(CANDIDATES + 24 + 4, 32)
        self.down8 = conv(32, 64, stride=2)
        self.eighth = nn.Sequential(conv(64 + 24 + 48, 64, kernel=1), Residual(64))
        self.down16 = conv(64, 96, stride=2)
        self.sixteenth = nn.Sequential(conv(96 + 12 + 72, 96, kernel=1), Residual(96))
        self.height = nn.Parameter(torch.zeros(1, 96, 1, 1))  # how high a pixel lies: sky is above
        self.down32 = conv(96, 128, stride=2)
        self.thirty_second = nn.Sequential(Residual(128), Residual(128))
        self.up16 = Merge(128, 96)
        self.up8 = Merge(96, 64)
        self.up4 = Merge(64, 32)

    def forward(
        self, volumes: list[Tensor], left: list[Tensor], prior: Prior
    ) -> tuple[Tensor, Tensor]:
        """Return what is known, (B, 32, H/4, W/4), and the prior among the candidates, (B, 48, …).

        ``volumes`` and ``left`` features are those at 1/4, 1/8 and 1/16.
        """
        candidates = torch.arange(CANDIDATES, device=prior.near.device).view(1, -1, 1, 1)

        def tent(disparity: Tensor) -> Tensor:
            return (1 - (candidates - disparity).abs()).clamp(min=0)

        trust = self.trust[0] * prior.confidence + self.trust[1] * (prior.near > 0)
        bump = trust * (tent(prior.near) + tent(prior.far))
        spread = ((prior.near - prior.far) / 4).clamp(max=4)
        seen = [volumes[0] + bump, left[0], prior.near / 8, prior.far / 8, spread, prior.confidence]
        fine = self.entry(torch.cat(seen, 1))
        middle = self.eighth(torch.cat([self.down8(fine), volumes[1], left[1]], 1))
        coarse = self.sixteenth(torch.cat([self.down16(middle), volumes[2], left[2]], 1))
        rows = torch.linspace(-1, 1, coarse.shape[2], device=coarse.device).view(1, 1, -1, 1)
        coarse = coarse + self.height * rows
        coarse = self.up16(self.thirty_second(self.down32(coarse)), coarse)
        return self.up4(self.up8(coarse, middle), fine), bump


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the channels of (B, C, H, W).

    Written out because ONNX Runtime's own transposes the map twice for any axis but the last.
    """
    raised = (logits - logits.amax(1, keepdim=True)).exp()
    return raised / raised.sum(1, keepdim=True)


def expectation(probability: Tensor, values: Tensor) -> Tensor:
    """Return the mean (B, 1, H, W) of ``values`` (C), in rising order, under (B, C, H, W)."""
    return (probability * values.view(1, -1, 1, 1)).sum(1, keepdim=True)


def highest_peak(probability: Tensor, radius: int = 2) -> tuple[Tensor, Tensor]:
    """Return mean and mass (B, 1, H, W) of the highest peak of ``probability`` (B, C, H, W).

    It reaches ``radius`` candidates to either side: a second peak far away would pull the mean of
    all into the empty space between.
    """
    steps = torch.arange(probability.shape[1], device=probability.device).view(1, -1, 1, 1)
    near = (steps - probability.argmax(1, keepdim=True)).abs() <= radius
    peak = probability * near
    mass = peak.sum(1, keepdim=True)
    return expectation(peak, steps.flatten()) / (mass + 1e-6), mass


class Upsampling(nn.Module):
    """Disparity at twice the resolution, as convex combinations of 3x3 neighbours."""

    def __init__(self, known: int) -> None:
        super().__init__()
        self.weights = nn.Conv2d(known, 9 * 4, 1)

    def forward(self, disparity: Tensor, known: Tensor) -> Tensor:
        """Map (B, 1, H, W) and what is ``known`` there, (B, known, H, W), to (B, 4, H, W).

        The channels are the four pixels, row by row, that each becomes at twice the resolution,
        and count in px of that.
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
        return value / total


class Refinement(nn.Module):
    """A look at 1/2 at the matched disparity, at the prior, and at the edges of the image."""

    REACH = 2
    CHANNELS = 16

    def __init__(self, known: int) -> None:
        super().__init__()
        self.raise_known = nn.Conv2d(known, 6, 1)
        self.entry = conv(16 + 6 + 2 + 8, self.CHANNELS)
        self.body = Residual(self.CHANNELS)
        self.step = nn.Conv2d(self.CHANNELS, 1, 1)

    def forward(
        self,
        disparity: Tensor,
        mass: Tensor,
        prior: tuple[Tensor, Tensor],
        left: Tensor,
        known: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """Return the better disparity and ``CHANNELS`` features, both at 1/2.

        ``disparity`` (B, 1, H/2, W/2) in its pixels and the ``mass`` of its peak, the ``prior`` of
        the four pixels of each (B, 4, H/2, W/2) in theirs and its confidence, ``left`` features
        (B, 16, H/2, W/2), ``known`` (B, known, H/4, W/4).
        """
        off = (prior[0] / 2 - disparity).clamp(-4, 4) * (prior[0] > 0)
        raised = double(self.raise_known(known))
        seen = torch.cat([left, raised, disparity / 16, mass, off, prior[1]], 1)
        features = self.body(self.entry(seen))
        step = self.REACH * torch.tanh(self.step(features).float())
        return (disparity + step).clamp(min=0), features


class Judgement(nn.Module):
    """How well two disparities of every pixel explain the left view by the right one."""

    CHANNELS = 16

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weigh = conv(features + 4 * 4, self.CHANNELS)

    def forward(
        self,
        matched: Tensor,
        prior: tuple[Tensor, Tensor],
        greys: tuple[Tensor, Tensor],
        features: Tensor,
    ) -> Tensor:
        """Return ``CHANNELS`` features at 1/2.

        ``matched``, and disparity and confidence of the ``prior``, are (B, 4, H/2, W/2), the four
        pixels of each, px; the ``greys`` of both views (B, 1, H, W), about -1 to 1; ``features``
        (B, features, H/2, W/2).
        """
        left, right = greys
        there = four_of_each(left).repeat(1, 2, 1, 1)
        apart = (there - sample(right, torch.cat([matched, prior[0]], 1))).abs()
        off = (prior[0] - matched).clamp(-8, 8) / 2
        return self.weigh(torch.cat([features, 4 * apart.clamp(max=0.5), off, prior[1]], 1))


def four_of_each(x: Tensor) -> Tensor:
    """Turn (B, 1, 2H, 2W) into (B, 4, H, W): the pixels of each 2 x 2, row by row."""
    return F.pixel_unshuffle(x, 2)


def sample(image: Tensor, disparity: Tensor) -> Tensor:
    """Return image(x - disparity), (B, 4 n, H, W), for an ``image`` (B, 1, 2H, 2W).

    ``disparity`` (B, 4 n, H, W), px of the image, is n times that of the four pixels of each 2 x 2.
    Beyond the image its edge goes on.
    """
    batch, channels, half_height, half_width = (int(side) for side in disparity.shape)
    height, width = 2 * half_height, 2 * half_width
    rows, columns = (
        torch.arange(side, device=image.device, dtype=torch.float32).view(-1, 2).T
        for side in (height, width)
    )
    y = rows.repeat_interleave(2, 0).repeat(channels // 4, 1)[..., None]
    x = columns.repeat(channels // 2, 1)[:, None] - disparity
    grid_x = x * (2 / (width - 1)) - 1
    # Summed up, since what is but expanded becomes a constant of the graph, as large as both views.
    grid_y = 0 * grid_x + (y * (2 / (height - 1)) - 1)
    # The channels one below the other, so that one call samples all.
    grid = torch.stack([grid_x, grid_y], 4).reshape(batch, channels * half_height, half_width, 2)
    seen = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)
    return seen.reshape(disparity.shape)


class Lite(StereoNetwork):
    """See the module. Its ``confidence`` is a head trained to tell small errors from large ones.

    The volume spans 192 px. For a smaller ``max_disparity`` the candidates beyond it are left out;
    for a larger one the images are matched at a reduced size and the disparity scaled back.
    """

    name = "lite"
    variant = "base"
    licence = "Apache-2.0"
    multiple = 32
    takes_prior = True

    def __init__(self, max_disparity: int = SPAN) -> None:
        super().__init__()
        if max_disparity < 16:
            raise ValueError(f"max_disparity is {max_disparity}, at least 16 px are needed")
        self.max_disparity = max_disparity
        self.pyramid = Pyramid()
        self.matching = Matching()
        self.aggregation = Aggregation()
        self.score = nn.Conv2d(32, CANDIDATES, 1)
        # Of the expectation, which a sharp distribution draws towards whole candidates.
        self.shift = nn.Conv2d(32, 1, 1)
        self.to_half = Upsampling(32)
        self.refinement = Refinement(32)
        features = Refinement.CHANNELS
        self.to_full = Upsampling(features)
        self.judgement = Judgement(features)
        judged = features + Judgement.CHANNELS
        self.choice = nn.Conv2d(judged, 4, 1)
        self.confidence = nn.Sequential(conv(judged + 2 * 4, 16, kernel=1), nn.Conv2d(16, 4, 1))
        for value in (*self.shift.parameters(), *self.refinement.step.parameters()):
            nn.init.zeros_(value)

    def forward(
        self,
        left: Tensor,
        right: Tensor,
        prior: Tensor | None = None,
        prior_confidence: Tensor | None = None,
    ) -> StereoOutput:
        """Match a rectified pair of any size; see `StereoNetwork.forward`."""
        if self.max_disparity <= SPAN:
            return super().forward(left, right, prior, prior_confidence)
        # Resizing would hide what does not fit.
        check_views(left, right)
        prior, prior_confidence = prior_of(left, prior, prior_confidence)
        height, width = (int(side) for side in left.shape[2:])
        scale = SPAN / self.max_disparity
        size = (round(height * scale), round(width * scale))
        images = [F.interpolate(image, size, mode="bilinear") for image in (left, right)]
        across = size[1] / width
        given = [nearest(x, size) for x in (prior * across, prior_confidence)]
        disparity, confidence = (
            F.interpolate(x, (height, width), mode="bilinear")
            for x in super().forward(*images, *given)
        )
        return StereoOutput(disparity / across, confidence)

    def match(self, left: Tensor, right: Tensor, *prior: Tensor) -> StereoOutput:
        """Match a pair whose size is a multiple of ``multiple``; see ``forward``."""
        matches = self.matches(left, right, *prior)
        return StereoOutput(matches.disparity, matches.confidence_logit.sigmoid())

    def matches(
        self, left: Tensor, right: Tensor, prior: Tensor, prior_confidence: Tensor
    ) -> Matches:
        """Return all that training looks at, for images and prior of multiples of 32 px."""
        images = torch.cat([left, right]) / 127.5 - 1
        batch = left.shape[0]
        both = self.pyramid(images)
        half, *seen = (x[:batch] for x in both)
        seen_right = [x[batch:] for x in both[1:]]
        volumes, total = self.matching(seen, seen_right)
        known, bump = self.aggregation(volumes, seen, summarise(prior, prior_confidence))
        # The U-Net corrects what plain matching says, which learns several times faster than
        # finding out what its 48 channels mean.
        logits = total + bump + self.score(known).float()
        if self.max_disparity < SPAN:
            logits = logits[:, : -(-self.max_disparity // 4)]
        mean, mass = highest_peak(softmax(logits))
        first = F.pixel_shuffle(self.to_half(mean + self.shift(known).float(), known), 2)
        # From here on the four pixels of a half-size one are channels, which saves moving them.
        fine_prior = four_of_each(prior), four_of_each(prior_confidence)
        second, features = self.refinement(first, double(mass), fine_prior, half, known)
        matched = self.to_full(second, features)
        greys = images.mean(1, keepdim=True)
        # Detached: it judges, and moves neither.
        judged = self.judgement(
            matched.detach(), fine_prior, (greys[:batch], greys[batch:]), features
        )
        judged = torch.cat([features, judged], 1)
        choice = self.choice(judged).float()
        # A mean of two surfaces would lie on neither.
        disparity = torch.where(choice > 0, matched, fine_prior[0])
        evidence = torch.cat([judged, fine_prior[1], choice.sigmoid()], 1)
        # Detached: the head reads what is there, and does not trade disparity for confidence.
        confidence = self.confidence(evidence.detach()).float()
        disparity, confidence, matched, choice = (
            F.pixel_shuffle(x, 2) for x in (disparity, confidence, matched, choice)
        )
        return Matches(disparity, confidence, matched, choice, first, logits)
