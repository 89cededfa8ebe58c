"""The padding that the published network was trained with."""

from __future__ import annotations

from torch import Tensor

from stereo_depth_ros.networks.layers.normalisation import MEAN
from stereo_depth_ros.networks.layers.size import Padding


class MeanPadding(Padding):
    """Padding with the mean colour, which is 0 once the image is normalised."""

    def pad(self, image: Tensor) -> Tensor:
        """Pad (B, 3, H, W), 0 to 255."""
        mean = 255 * image.new_tensor(MEAN).view(3, 1, 1)
        return self.pad_zeros(image - mean) + mean
