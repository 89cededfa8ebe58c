"""A picture that explains itself: its caption, the scale of its colours and a legend around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from stereo_depth_ros.colour_scale import ColourScale

Colour = tuple[int, int, int]

PAPER, INK = (255, 255, 255), (32, 32, 32)
_FONT, _FONT_SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_WIDTH = 480
"""Columns at which texts have the scale above; wider panels have larger ones."""
_MIN_WIDTH = 320
_CAPTION, _BAR, _LEGEND, _MARGIN = 26, 40, 24, 10
"""Heights of the three strips, and the distance from the border, in px of a panel 480 px wide."""


def draw_panel(
    picture: np.ndarray,
    caption: str,
    scale: ColourScale | None = None,
    legend: Mapping[str, Colour] | None = None,
    columns: int = 1,
) -> np.ndarray:
    """Return ``picture`` (H, W, 3) uint8 RGB below its ``caption``, above what its colours mean.

    ``legend`` names single colours. Texts grow with the picture, which is as wide as ``columns`` of
    those beside it. Pictures narrower than 320 px are enlarged by a whole number.
    """
    enlargement = -(-_MIN_WIDTH // picture.shape[1])
    picture = picture.repeat(enlargement, axis=0).repeat(enlargement, axis=1)
    width = picture.shape[1]
    unit = max(1.0, width / columns / _WIDTH)
    strips = [_draw_caption(caption, width, unit), picture]
    if scale is not None:
        strips.append(_draw_bar(scale, width, unit))
    if legend:
        strips.append(_draw_legend(legend, width, unit))
    return np.vstack(strips)


def arrange(rows: Sequence[Sequence[np.ndarray]]) -> np.ndarray:
    """Return pictures in ``rows``, from the top left, on paper where they leave a gap."""
    gap = _MARGIN
    lines = []
    for row in rows:
        height = max(picture.shape[0] for picture in row)
        cells = [_pad(p, height - p.shape[0], gap if p is not row[-1] else 0) for p in row]
        lines.append(np.hstack(cells))
    width = max(line.shape[1] for line in lines)
    return np.vstack([_pad(line, gap, width - line.shape[1]) for line in lines])


def _pad(picture: np.ndarray, bottom: int, right: int) -> np.ndarray:
    return cv2.copyMakeBorder(picture, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=PAPER)


def _blank(height: float, width: int) -> np.ndarray:
    return np.full((round(height), width, 3), PAPER, np.uint8)


def _draw_caption(caption: str, width: int, unit: float) -> np.ndarray:
    strip = _blank(_CAPTION * unit, width)
    # What does not fit would end in the middle of a letter.
    while measure_text(caption, unit) > width - 2 * _MARGIN * unit and " " in caption:
        caption = caption.rpartition(" ")[0]
    _write(strip, caption, _MARGIN * unit, 18 * unit, unit)
    return strip


def _draw_bar(scale: ColourScale, width: int, unit: float) -> np.ndarray:
    strip = _blank(_BAR * unit, width)
    left, right = round(_MARGIN * unit), width - round(_MARGIN * unit)
    top, bottom = round(8 * unit), round(20 * unit)
    share = np.linspace(0, 1, right - left)
    if scale.is_logarithmic:
        values = scale.low * (scale.high / scale.low) ** share
    else:
        values = scale.low + (scale.high - scale.low) * share
    strip[top:bottom, left:right] = scale.paint(values[None, :])
    free_from = 0.0
    for tick in scale.ticks:
        x = left + float(scale.locate(tick)) * (right - left - 1)
        text = f"{tick:g} {scale.unit}".strip()
        length = measure_text(text, unit)
        start = min(max(x - length / 2, 0.0), width - length)
        if start < free_from:
            continue
        free_from = start + length + 4 * unit
        cv2.line(strip, (round(x), bottom), (round(x), bottom + round(4 * unit)), INK, round(unit))
        _write(strip, text, start, 36 * unit, unit)
    return strip


def _draw_legend(legend: Mapping[str, Colour], width: int, unit: float) -> np.ndarray:
    strip, x, size = _blank(_LEGEND * unit, width), _MARGIN * unit, 12 * unit
    for name, colour in legend.items():
        corners = (round(x), round(6 * unit)), (round(x + size), round(6 * unit + size))
        cv2.rectangle(strip, *corners, colour, cv2.FILLED)
        cv2.rectangle(strip, *corners, INK, round(unit))
        _write(strip, name, x + size + 5 * unit, 16 * unit, unit)
        x += size + 5 * unit + measure_text(name, unit) + 14 * unit
    return strip


def measure_text(text: str, unit: float) -> float:
    """Return how many px wide ``text`` is at ``unit`` times the usual size."""
    (length, _), _ = cv2.getTextSize(text, _FONT, _FONT_SCALE * unit, _thickness(unit))
    return float(length)


def _thickness(unit: float) -> int:
    return max(1, round(unit))


def _write(strip: np.ndarray, text: str, x: float, y: float, unit: float) -> None:
    # The font holds ASCII alone.
    plain = text.encode("ascii", "replace").decode()
    place = round(x), round(y)
    thickness = _thickness(unit)
    cv2.putText(strip, plain, place, _FONT, _FONT_SCALE * unit, INK, thickness, cv2.LINE_AA)
