"""How the values of a map become colours, and which values are written beside the colours."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log10

import cv2
import numpy as np

UNKNOWN = (128, 128, 128)
"""RGB of what is not known, in every picture: a grey that no scale holds."""

_STEPS = (1.0, 2.0, 5.0)
_FINE_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


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

    def ticks(self, count: int = 5) -> list[float]:
        """Return round values on the scale, about ``count`` of them, in ascending order."""
        if self.is_logarithmic and self.high / self.low > 4:
            decades = range(floor(log10(self.low)), ceil(log10(self.high)) + 1)
            for steps in (_FINE_STEPS, _STEPS, _STEPS[:1]):
                values = [round(step * 10.0**decade, 9) for decade in decades for step in steps]
                inside = [value for value in values if self.low <= value <= self.high]
                if len(inside) <= 2 * count:
                    break
            return inside
        raw = (self.high - self.low) / count
        decade = 10.0 ** floor(log10(raw))
        step = decade * next((s for s in _STEPS if s * decade >= raw), 10.0)
        first, last = ceil(self.low / step - 1e-6), floor(self.high / step + 1e-6)
        return [round(index * step, 9) for index in range(first, last + 1)]


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
