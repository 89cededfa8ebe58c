"""Round numbers to write beside an axis."""

from __future__ import annotations

from math import ceil, floor, log10

_STEPS = (1.0, 2.0, 5.0)
_FINE_STEPS = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)


def find_ticks(low: float, high: float, count: int = 7) -> list[float]:
    """Return multiples of one round step from ``low`` to ``high``, up to ``count``."""
    raw = (high - low) / count
    decade = 10.0 ** floor(log10(raw))
    step = decade * next((s for s in _STEPS if s * decade >= raw), 10.0)
    first, last = ceil(low / step - 1e-6), floor(high / step + 1e-6)
    return [round(index * step, 9) for index in range(first, last + 1)]


def find_ratio_ticks(low: float, high: float, count: int = 10) -> list[float]:
    """Return round values of growing distance from ``low`` > 0 to ``high``, up to ``count``."""
    decades = range(floor(log10(low)), ceil(log10(high)) + 1)
    for steps in (_FINE_STEPS, _STEPS, _STEPS[:1]):
        values = [round(step * 10.0**decade, 9) for decade in decades for step in steps]
        inside = [value for value in values if low <= value <= high]
        if len(inside) <= count:
            break
    return inside
