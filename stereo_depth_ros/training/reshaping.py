"""Changes of a pair that move pixels, with truth and validity moved alike."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import cv2
import numpy as np

from stereo_depth_ros.training.pair import Pair

_DENSE = 0.5  # share of pixels with truth from which on truth can be interpolated
_ONE_SURFACE = 1.0  # px, by which neighbours on one surface differ at most


def is_dense(pair: Pair) -> bool:
    """Return whether most pixels have truth, so that a neighbour without any is a hole."""
    return bool(np.isfinite(pair.disparity).mean() >= _DENSE)


def resize(pair: Pair, size: tuple[int, int]) -> Pair:
    """Scale a pair to ``size`` (height, width) px.

    Dense truth is interpolated between the four pixels around where they are one surface, and taken
    from the nearest elsewhere. Points of sparse truth move to the pixel that they fall into, the
    nearer of two.
    """
    if size == pair.size:
        return pair
    height, width = size
    shrinks = height * width < pair.disparity.size
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    left, right = (cv2.resize(view, (width, height), interpolation=method) for view in _views(pair))
    scale = np.float32(width / pair.size[1])
    if is_dense(pair):
        disparity, visible = _sample(pair, size)
    else:
        rows, columns = np.nonzero(np.isfinite(pair.disparity))
        target = (
            (rows * 2 + 1) * height // (2 * pair.size[0]),
            (columns * 2 + 1) * width // (2 * pair.size[1]),
        )
        order, disparity = _scatter(pair.disparity[rows, columns], *target, size)
        visible = np.full(size, np.nan, np.float32)
        visible[target[0][order], target[1][order]] = pair.visible[rows, columns][order]
    return Pair(left, right, disparity * scale, visible)


def crop(pair: Pair, top: int, left: int, size: tuple[int, int]) -> Pair:
    """Cut the same window of ``size`` (height, width) px out of both views.

    What both views saw, and the right one no longer does, is not ``visible`` any more.
    """
    window = (slice(top, top + size[0]), slice(left, left + size[1]))
    disparity, visible = pair.disparity[window], pair.visible[window]
    beyond = np.arange(size[1]) - disparity < 0
    return Pair(
        pair.left[window],
        pair.right[window],
        disparity,
        np.where(beyond, np.float32(0), visible),
    )


def flip_rows(pair: Pair) -> Pair:
    """Turn a pair upside down; disparities stay what they are."""
    return Pair(
        *(np.ascontiguousarray(x[::-1]) for x in (*_views(pair), pair.disparity, pair.visible))
    )


def can_exchange(pair: Pair) -> bool:
    """Return whether the right view's truth follows from the left one's.

    It does where it is known which points the right view sees: by a mask, or since dense truth
    shows what hides them.
    """
    return is_dense(pair) or not np.isnan(pair.visible[np.isfinite(pair.disparity)]).any()


def exchange_views(pair: Pair) -> Pair:
    """Mirror both views and let each stand for the other, which is a pair of cameras again.

    Truth is that of the right view, for the pixels that the left one shows too. It needs what
    `can_exchange` checks.
    """
    truth = _find_right_truth(np.where(pair.visible == 0, np.nan, pair.disparity))
    visible = np.where(np.isfinite(truth), np.float32(1), np.float32(np.nan))
    left, right = _views(pair)
    return Pair(*(np.ascontiguousarray(x[:, ::-1]) for x in (right, left, truth, visible)))


def shift_right_rows(pair: Pair, rows: float) -> Pair:
    """Move the right view down by ``rows`` px, as a poor calibration does; truth is the left's."""
    height, width = pair.size
    move = np.array([[1, 0, 0], [0, 1, rows]], np.float32)
    right = cv2.warpAffine(pair.right, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return replace(pair, right=right)


def erase(pair: Pair, boxes: Iterable[tuple[int, int, int, int]]) -> Pair:
    """Paint ``boxes`` (top, left, height, width) of the right view in its mean colour.

    Points that fall into them are not ``visible`` any more; their truth stays, to be filled in.
    """
    right, visible = pair.right.copy(), pair.visible.copy()
    colour = pair.right.reshape(-1, 3).mean(0).round().astype(np.uint8)
    row, column = np.indices(pair.size)
    match = column - pair.disparity
    for top, left, height, width in boxes:
        right[top : top + height, left : left + width] = colour
        inside = (row >= top) & (row < top + height)
        inside &= (match > left - 1) & (match < left + width)
        visible[inside] = 0
    return replace(pair, right=right, visible=visible)


def _views(pair: Pair) -> tuple[np.ndarray, np.ndarray]:
    return pair.left, pair.right


def _sample(pair: Pair, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return disparity, in its own px, and visibility at the pixels of ``size``."""
    (y0, y1, across_y), (x0, x1, across_x) = (
        _neighbours(new, old) for new, old in zip(size, pair.size, strict=True)
    )
    corners = np.stack([pair.disparity[np.ix_(y, x)] for y in (y0, y1) for x in (x0, x1)])
    down, along = across_y[:, None], across_x[None]
    shares = np.stack(
        [(1 - down) * (1 - along), (1 - down) * along, down * (1 - along), down * along]
    )
    nearest = np.ix_(np.where(across_y < 0.5, y0, y1), np.where(across_x < 0.5, x0, x1))
    # False for NaN.
    is_smooth = corners.max(0) - corners.min(0) < _ONE_SURFACE
    disparity = np.where(is_smooth, (shares * corners).sum(0), pair.disparity[nearest])
    return disparity.astype(np.float32), pair.visible[nearest]


def _neighbours(new: int, old: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the two old pixels around every new one, and how far it is on the way."""
    place = ((np.arange(new) + 0.5) * old / new - 0.5).clip(0, old - 1)
    first = np.floor(place).astype(int)
    return first, (first + 1).clip(max=old - 1), (place - first).astype(np.float32)


def _scatter(
    values: np.ndarray, rows: np.ndarray, columns: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of writing, in which the larger of two wins, and the map, NaN elsewhere."""
    order = np.argsort(values, kind="stable")
    target = np.full(size, np.nan, np.float32)
    target[rows[order], columns[order]] = values[order]
    return order, target


def _find_right_truth(disparity: np.ndarray) -> np.ndarray:
    """Return the disparity of the right view's pixels, NaN where the left view shows none."""
    height, width = disparity.shape
    match = np.arange(width) - disparity
    near, far = disparity[:, :-1], disparity[:, 1:]
    is_joined = np.abs(far - near) < _ONE_SURFACE
    begin, end = match[:, :-1], match[:, 1:]
    values, rows, columns = [], [], []
    # Between two pixels of one surface lie 0, 1 or 2 of the other view.
    for step in (0, 1):
        column = np.ceil(begin) + step
        row, left = np.nonzero(is_joined & (column <= end) & (column >= 0) & (column < width))
        at = (row, left)
        share = (column[at] - begin[at]) / (end[at] - begin[at])
        values.append(near[at] + share * (far[at] - near[at]))
        rows.append(row)
        columns.append(column[at].astype(int))
    alone = np.isfinite(disparity)
    alone[:, :-1] &= ~is_joined
    alone[:, 1:] &= ~is_joined
    column = np.rint(match)
    row, left = np.nonzero(alone & (column >= 0) & (column < width))
    values.append(disparity[row, left])
    rows.append(row)
    columns.append(column[row, left].astype(int))
    _, truth = _scatter(
        np.concatenate(values), np.concatenate(rows), np.concatenate(columns), (height, width)
    )
    return truth
