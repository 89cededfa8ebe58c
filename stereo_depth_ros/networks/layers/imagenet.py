"""The normalisation of images that most pretrained networks expect."""

from __future__ import annotations

from torch import Tensor

MEAN = (0.485, 0.456, 0.406)
DEVIATION = (0.229, 0.224, 0.225)


def normalise(image: Tensor) -> Tensor:
    """Scale RGB (B, 3, H, W), 0 to 255, by the mean and deviation of ImageNet's pixels."""
    mean = image.new_tensor(MEAN).view(3, 1, 1)
    deviation = image.new_tensor(DEVIATION).view(3, 1, 1)
    return (image / 255 - mean) / deviation
