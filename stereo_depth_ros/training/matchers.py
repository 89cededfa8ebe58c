"""The priors of training samples, found where no PyTorch is."""

from __future__ import annotations

from functools import cache

import numpy as np

from stereo_depth_ros.engines.prior import find_prior
from stereo_depth_ros.engines.sgbm import SgbmEngine

UNAIDED = 0.15
"""Share of the samples that are given no prior, so that a network learns to do without."""


def match(
    left: np.ndarray, right: np.ndarray, max_disparity: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return what SGBM finds for a pair; see `stereo_depth_ros.engines.prior.find_prior`."""
    return find_prior(_matcher(), left, right, max_disparity)


@cache
def _matcher() -> SgbmEngine:
    return SgbmEngine()
