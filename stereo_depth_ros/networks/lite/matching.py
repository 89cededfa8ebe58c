"""Cosine correlations of both views at three scales, and where their peak lies."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stereo_depth_ros.networks.layers.distribution import expected_disparity

CANDIDATES = 48  # disparities at 1/4 resolution that the weights were trained for


def correlation(left: Tensor, right: Tensor, candidates: int) -> Tensor:
    """Return left(x) . right(x - d) for d = 0 .. candidates - 1, 0 outside the right view.

    ``left``, ``right`` (B, C, H, W) to (B, candidates, H, W). All pairs of a row come from one
    matrix product, whose diagonals a change of stride turns into columns: a few large operations
    where one a candidate, as `correlation_volume` of the layers has, would starve a CPU.
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


def softmax(logits: Tensor) -> Tensor:
    """Softmax over the channels of (B, C, H, W).

    Written out because ONNX Runtime's own transposes the map twice for any axis but the last.
    """
    raised = (logits - logits.amax(1, keepdim=True)).exp()
    return raised / raised.sum(1, keepdim=True)


def highest_peak(probability: Tensor, radius: int = 2) -> tuple[Tensor, Tensor]:
    """Return mean and mass (B, 1, H, W) of the highest peak of ``probability`` (B, C, H, W).

    It reaches ``radius`` candidates to either side: a second peak far away would pull the mean of
    all into the empty space between.
    """
    steps = torch.arange(probability.shape[1], device=probability.device).view(1, -1, 1, 1)
    near = (steps - probability.argmax(1, keepdim=True)).abs() <= radius
    peak = probability * near
    mass = peak.sum(1, keepdim=True)
    return expected_disparity(peak) / (mass + 1e-6), mass
