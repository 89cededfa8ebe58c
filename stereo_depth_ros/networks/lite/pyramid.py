"""Features of one view at four scales."""

from __future__ import annotations

from torch import Tensor, nn

from stereo_depth_ros.networks.lite.blocks import Merge, Residual, conv


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
