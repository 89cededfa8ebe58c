"""A chart of what confidence is worth, as SVG with axes."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence

from stereo_depth_ros.evaluation.metrics import Sparsification
from stereo_depth_ros.ticks import find_ticks

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 12, 48


def draw_chart(curves: Mapping[str, Sparsification]) -> str:
    """Return the curves of several models as an SVG, and below it which line is whose.

    Solid is the mean error of the pixels that are kept by confidence, dashed by their true error.
    """
    top = max(max(*curve.error, *curve.oracle) for curve in curves.values()) or 1.0
    parts = [
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        'aria-label="Mean error of the pixels that are kept, by their share">'
    ]
    for tick in find_ticks(0, top):
        y = _place(0, tick / top)[1]
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>'
            f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for percent in range(0, 101, 20):
        x = _place(percent / 100, 0)[0]
        parts.append(
            f'<path class="grid" d="M{x:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{percent}</text>'
        )
    middle = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 8}" text-anchor="middle">'
        "pixels kept, the most confident (%)</text>"
        f'<text transform="translate(14 {middle}) rotate(-90)" text-anchor="middle">'
        "their mean error (px)</text>"
    )
    names = []
    for index, (name, curve) in enumerate(curves.items()):
        hue = f"--hue:{round(210 + 360 * index / len(curves)) % 360}"
        parts.append(_line(curve.share_left, curve.oracle, top, hue, "best"))
        parts.append(_line(curve.share_left, curve.error, top, hue, "own"))
        names.append(f'<li style="{hue}">{html.escape(name)}</li>')
    return f'{"".join(parts)}</svg><ul class="lines">{"".join(names)}</ul>'


def _place(share: float, height: float) -> tuple[float, float]:
    """Return where a ``share`` of the pixels and a ``height`` of the highest error lie in px."""
    x = _LEFT + share * (_WIDTH - _LEFT - _RIGHT)
    return x, _HEIGHT - _BOTTOM - height * (_HEIGHT - _TOP - _BOTTOM)


def _line(shares: Sequence[float], errors: Sequence[float], top: float, hue: str, kind: str) -> str:
    places = (_place(share, error / top) for share, error in zip(shares, errors, strict=True))
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    return f'<polyline class="{kind}" style="{hue}" points="{points}"/>'
