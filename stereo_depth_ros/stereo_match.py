"""What matching one pair gives, before anything is made of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.settings import Settings


@dataclass
class StereoMatch:
    """Disparity of one pair, with what is needed to make outputs of it.

    Attributes
    ----------
    camera
        Geometry of the arrays, which all have its size (H, W).
    settings
        Those that it was made with.
    max_disparity
        Largest disparity that was considered, in px less the principal-point offset.
    image
        Left view, (H, W, 3) uint8 RGB.
    disparity
        (H, W) float32, px as matched, finite everywhere.
    confidence
        (H, W) float32, 0 to 1; 0 where the images hold no evidence.
    valid
        (H, W) bool, what the filters left of it.
    seconds
        Time that each stage took.
    """

    camera: StereoCamera
    settings: Settings
    max_disparity: float
    image: np.ndarray
    disparity: np.ndarray
    confidence: np.ndarray
    valid: np.ndarray
    seconds: dict[str, float]

    @cached_property
    def depth(self) -> np.ndarray:
        """(H, W) float32 in m by REP 117: NaN unknown, +Inf too far, -Inf too near."""
        depth = self.camera.depth(self.disparity)
        depth[depth < self.settings.min_depth] = -np.inf
        depth[depth > self.settings.max_depth] = np.inf
        depth[~self.valid] = np.nan
        return depth
