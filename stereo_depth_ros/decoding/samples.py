"""An image as the camera sampled it, before it becomes RGB."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.errors import InputError


class ImageError(InputError):
    """Bytes that are no image that can be used; the text names the cause and the cure."""


@dataclass(frozen=True)
class Samples:
    """What a camera measured: ``values`` (H, W) or (H, W, C), uint8 or uint16.

    ``conversion`` is the cv2 colour conversion that makes RGB of it, None where it is RGB.
    """

    values: np.ndarray
    conversion: int | None

    def to_rgb(self, shift: int = 0) -> np.ndarray:
        """Return (H, W, 3) uint8 RGB, a view where the samples already are that.

        uint16 values lose their ``shift`` lowest bits; what then exceeds 255 is 255.
        """
        values = self.values
        if values.dtype == np.uint16:
            values = cv2.convertScaleAbs(values >> np.uint16(shift))
        if self.conversion is None:
            return values
        return cv2.cvtColor(np.ascontiguousarray(values), self.conversion)
