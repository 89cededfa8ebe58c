"""Instance normalisation, in the precision that it needs."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class InstanceNorm(nn.Module):
    """Instance normalisation without weights; under autocast it still computes in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each image of ``x`` (B, C, H, W)."""
        return F.instance_norm(x.float(), eps=1e-5)
