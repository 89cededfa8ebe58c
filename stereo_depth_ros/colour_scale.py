"""How the values of a map become colours, and which values are written beside the colours."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.ticks import find_ratio_ticks, find_ticks

UNKNOWN = (128, 128, 128)
"""RGB of what is not known, in every picture: a grey that no scale holds."""


@dataclass(frozen=True)
class ColourScale:
    """Colours from ``low`` to ``high``, in ``unit``; what lies beyond has the colour of that end.

    ``colour_map`` is one of OpenCV's; a logarithmic scale needs a ``low`` above 0.
    """

    low: float
    high: float
    unit: str
    colour_map: int
    is_logarithmic: bool = False
    is_reversed: bool = False

    def locate(self, values: np.ndarray | float) -> np.ndarray:
        """Return where finite ``values`` lie on the scale, from 0 to 1, in their shape."""
        values = np.clip(values, self.low, self.high)
        if self.is_logarithmic:
            return np.log(values / self.low) / np.log(self.high / self.low)
        return (values - self.low) / (self.high - self.low)

    def paint(self, values: np.ndarray, known: np.ndarray | None = None) -> np.ndarray:
        """Return ``values`` (H, W) as (H, W, 3) uint8 RGB.

        What is not ``known`` (H, W) bool, or not finite, has the colour `UNKNOWN`.
        """
        known = np.isfinite(values) if known is None else known & np.isfinite(values)
        place = self.locate(np.where(known, values, self.low))
        level = np.rint(255 * (1 - place if self.is_reversed else place)).astype(np.uint8)
        picture = cv2.applyColorMap(level, self.colour_map)[..., ::-1].copy()
        picture[~known] = UNKNOWN
        return picture

    @property
    def ticks(self) -> list[float]:
        """Round values on the scale, a few, in ascending order."""
        # Within less than that a logarithm is close to straight.
        if self.is_logarithmic and self.high / self.low > 4:
            return find_ratio_ticks(self.low, self.high)
        return find_ticks(self.low, self.high)


CONFIDENCE = ColourScale(0.0, 1.0, "", cv2.COLORMAP_VIRIDIS)
"""Dark is doubtful, bright is certain."""


def scale_disparity(*disparities: np.ndarray) -> ColourScale:
    """Return one scale for ``disparities`` in px, NaN unknown: near is red, far is blue."""
    low, high = _find_limits(np.concatenate([d.ravel() for d in disparities]))
    return ColourScale(low, max(high, low + 1e-3), "px", cv2.COLORMAP_TURBO)


def scale_depth(depth: np.ndarray) -> ColourScale:
    """Return a scale for ``depth`` in m by REP 117: near is yellow, far is blue, by ratios."""
    low, high = _find_limits(depth[depth > 0])
    # A flat wall keeps a scale with room for round numbers.
    low, high = max(min(low, high / 1.1), 1e-3), max(high, 1.1e-3)
    return ColourScale(low, high, "m", cv2.COLORMAP_PLASMA, is_logarithmic=True, is_reversed=True)


def _find_limits(values: np.ndarray) -> tuple[float, float]:
    """Return between what nearly all finite ``values`` lie; single ones may be far off."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 1.0
    low, high = np.percentile(finite, (1, 99))
    return float(low), float(high)
