"""Filters on disparity and confidence: pure functions, each of one idea.

Every filter but `blend_over_time` answers a mask of the pixels it keeps, (H, W) bool, so that
filters combine by ``&`` and nobody's input is altered. Unknown disparities are NaN.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

_BLACK, _STAINED_BLACK = 2, 8
"""Grey levels of black, and of black that JPEG has stained."""

_MIN_BLACK = 0.9
"""Share of a border that is black; a dark scene has more that is not."""

_EDGES = (np.s_[:1], np.s_[-1:], np.s_[:, :1], np.s_[:, -1:])
_EDGE_STEP = 4
_DARK, _BORDER, _CURRENT = 1, 2, 3


def confident(confidence: np.ndarray, threshold: float) -> np.ndarray:
    """Keep what is more than a guess.

    Parameters
    ----------
    confidence
        (H, W) float32, 0 to 1.
    threshold
        What it must be above; 0 itself always means unknown.

    Returns
    -------
    np.ndarray
        (H, W) bool.
    """
    return confidence > np.float32(max(threshold, 0.0))


def left_right_consistent(
    disparity: np.ndarray, disparity_right: np.ndarray, tolerance: float
) -> np.ndarray:
    """Keep left pixels whose match in the right view points back.

    What is occluded in the right view, or matches outside it, is not kept.

    Parameters
    ----------
    disparity
        Of the left view, x_left - x_right at left pixels, (H, W) float32 px.
    disparity_right
        The same quantity at right pixels, (H, W) float32 px.
    tolerance
        Largest difference of the two in px.

    Returns
    -------
    np.ndarray
        (H, W) bool.
    """
    width = disparity.shape[1]
    columns = np.arange(width, dtype=np.float32)[None, :] - disparity
    inside = (columns >= -0.5) & (columns <= width - 0.5)
    index = np.rint(np.where(inside, columns, 0)).astype(np.intp).clip(0, width - 1)
    back = np.take_along_axis(disparity_right, index, axis=1)
    return inside & (np.abs(disparity - back) <= tolerance)


def not_flying(disparity: np.ndarray, max_step: float) -> np.ndarray:
    """Keep pixels that lie on a surface.

    Interpolated pixels between a foreground and its background differ from both the previous and
    the next pixel, along a row or along a column; those are the flying pixels of a point cloud.

    Parameters
    ----------
    disparity
        (H, W) float32 px, NaN where unknown.
    max_step
        Largest difference in px to a neighbour of the same surface.

    Returns
    -------
    np.ndarray
        (H, W) bool.
    """
    return _has_support(disparity, max_step, axis=1) & _has_support(disparity, max_step, axis=0)


def _has_support(disparity: np.ndarray, max_step: float, axis: int) -> np.ndarray:
    near = np.abs(np.diff(disparity, axis=axis)) <= max_step
    supported = np.zeros(disparity.shape, bool)
    if axis == 1:
        supported[:, 1:] |= near
        supported[:, :-1] |= near
    else:
        supported[1:] |= near
        supported[:-1] |= near
    return supported


def not_speckle(disparity: np.ndarray, max_size: int, max_step: float) -> np.ndarray:
    """Keep regions that are large enough.

    Parameters
    ----------
    disparity
        (H, W) float32 px, NaN where unknown.
    max_size
        Pixels of the largest region that goes.
    max_step
        Largest difference in px of neighbours in one region.

    Returns
    -------
    np.ndarray
        (H, W) bool.
    """
    unknown = -32768
    fixed = np.full(disparity.shape, unknown, np.int16)
    known = np.isfinite(disparity)
    # int16 sixteenths reach 2047 px, beyond any search range.
    fixed[known] = np.clip(disparity[known] * 16, -32767, 32767)
    cv2.filterSpeckles(fixed, unknown, int(max_size), max(1, round(max_step * 16)))
    return fixed != unknown


def inside_polygon(polygon: Sequence[float], height: int, width: int) -> np.ndarray:
    """Keep the inside of a polygon.

    Parameters
    ----------
    polygon
        x0 y0 x1 y1 … in px.
    height, width
        Of the image in px.

    Returns
    -------
    np.ndarray
        (height, width) bool.
    """
    corners = np.asarray(polygon, np.float64).reshape(-1, 2)
    mask = np.zeros((height, width), np.uint8)
    # OpenCV counts in 32 bits; corners a million pixels off bound the image just as well.
    cv2.fillPoly(mask, [np.rint(corners.clip(-1e6, 1e6)).astype(np.int32)], 1)
    return mask.astype(bool)


def not_black_border(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Keep what shows something: all but the uniform black that frames both views.

    Rectification and cropping leave such borders, straight or curved; compression stains them near
    their edges.

    Parameters
    ----------
    left, right
        The views, (H, W, 3) uint8.

    Returns
    -------
    np.ndarray
        (H, W) bool.
    """
    height, width = left.shape[:2]
    if not any(_darker(left[edge], right[edge], _STAINED_BLACK).any() for edge in _EDGES):
        return np.ones((height, width), bool)
    dark, black = (_darker(left, right, level) for level in (_STAINED_BLACK, _BLACK))
    border = np.zeros((height + 2, width + 2), np.uint8)
    for x, y in _edge_pixels(height, width):
        if dark[y, x] and not border[y + 1, x + 1]:
            _fill_border(dark, black, border, (x, y))
    return border[1:-1, 1:-1] != _BORDER


def _edge_pixels(height: int, width: int) -> Iterator[tuple[int, int]]:
    """Yield the pixels (x, y) along the edges, some of many."""
    for x in (*range(0, width, _EDGE_STEP), width - 1):
        yield from ((x, 0), (x, height - 1))
    for y in (*range(0, height, _EDGE_STEP), height - 1):
        yield from ((0, y), (width - 1, y))


def _fill_border(
    dark: np.ndarray, black: np.ndarray, border: np.ndarray, seed: tuple[int, int]
) -> None:
    """Mark the dark region around ``seed`` in ``border``, as `_BORDER` where it is black."""
    flags = cv2.FLOODFILL_MASK_ONLY | 4 | (_CURRENT << 8)
    area, _, _, (x, y, width, height) = cv2.floodFill(dark, border, seed, 0, flags=flags)
    window = border[y + 1 : y + height + 1, x + 1 : x + width + 1]
    region = cv2.inRange(window, _CURRENT, _CURRENT)
    blacks = cv2.countNonZero(cv2.bitwise_and(region, black[y : y + height, x : x + width]))
    window[region > 0] = _BORDER if blacks >= _MIN_BLACK * area else _DARK


def _darker(left: np.ndarray, right: np.ndarray, level: int) -> np.ndarray:
    """Return 255 where every channel of both images is at most ``level``, else 0, (H, W) uint8."""
    dark = [cv2.inRange(image, (0, 0, 0), (level,) * 3) for image in (left, right)]
    return cv2.bitwise_and(*dark)


def blend_over_time(
    disparity: np.ndarray,
    image: np.ndarray,
    valid: np.ndarray,
    previous: tuple[np.ndarray, np.ndarray, np.ndarray],
    gain: float,
    max_change: float = 8.0,
    max_step: float = 1.0,
) -> np.ndarray:
    """Smooth flicker where nothing moved: previous + ``gain`` * (new - previous).

    A blended pixel lags by about ``1 / gain - 1`` frames; what is not blended takes the new value
    at once.

    Parameters
    ----------
    disparity
        (H, W) float32 px.
    image
        Left view, grey, (H, W) uint8.
    valid
        (H, W) bool, where the disparity is no guess; only pixels valid in both frames are blended.
    previous
        All three of the frame before.
    gain
        Weight of the new frame, 0 to 1.
    max_change
        Grey levels by which a pixel that is blended may have changed.
    max_step
        And px by which its disparity may have.

    Returns
    -------
    np.ndarray
        (H, W) float32 px.
    """
    previous_disparity, previous_image, previous_valid = previous
    still = cv2.absdiff(image, previous_image) <= max_change
    still &= valid & previous_valid
    still &= np.abs(disparity - previous_disparity) <= max_step
    blended = previous_disparity + np.float32(gain) * (disparity - previous_disparity)
    return np.where(still, blended, disparity)
