"""Weigh channels by what they hold over the whole image."""

from __future__ import annotations

from torch import Tensor, nn


class ChannelGate(nn.Module):
    """A weight for each channel from its global mean and maximum."""

    def __init__(self, channels: int, reduced: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Conv2d(channels, reduced, 1, bias=False),
            nn.ReLU(),
            nn.Conv2d(reduced, channels, 1, bias=False),
        )

    def forward(self, features: Tensor) -> Tensor:
        """Return the weights (B, C, 1, 1), 0 to 1, of ``features`` (B, C, H, W)."""
        mean, largest = features.mean((2, 3), keepdim=True), features.amax((2, 3), keepdim=True)
        return (self.fc(mean) + self.fc(largest)).sigmoid()
