"""How images and features are normalised."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """Scale RGB (B, 3, H, W), 0 to 255, by the mean and deviation of ImageNet's pixels."""
    mean = image.new_tensor(MEAN).view(3, 1, 1)
    deviation = image.new_tensor(DEVIATION).view(3, 1, 1)
    return (image / 255 - mean) / deviation


class InstanceNorm(nn.Module):
    """Instance normalisation without weights; under autocast it still computes in float32."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each channel of each image of ``x`` (B, C, H, W)."""
        return F.instance_norm(x.float(), eps=1e-5)
