"""Which pixels of a true disparity are of thin structures: poles, wires, branches, chair legs."""

from __future__ import annotations

import cv2
import numpy as np

THIN_STEP = 4.0
"""By more than how many px of disparity a thin structure is nearer than what is beside it."""

_WIDTH_PARTS = 40  # what is thin fits into a line of one of them, 2.5 % of the image width


def thin_structures(truth: np.ndarray) -> np.ndarray:
    """Return where ``truth`` (H, W) float32 px, NaN unknown, is of a thin structure, (H, W) bool.

    That is where it exceeds its grey opening by a line of 2.5 % of the image width, rounded up to
    an odd number of px, by more than `THIN_STEP`: what is on both sides, left and right or above
    and below, is further away within that length. The direction in which less is left decides.

    An unknown pixel is never thin. Between two known ones no further apart than the line is long it
    is taken for the further of them, so that it neither widens a pole nor breaks a slanted plane
    into steps; in a longer gap, and beyond the image, nothing is known to be further away.
    """
    line = -(-truth.shape[1] // _WIDTH_PARTS) | 1
    behind = np.minimum(_open_lines(truth, line), _open_lines(truth.T, line).T)
    return behind < np.where(np.isfinite(truth), truth, -np.inf) - THIN_STEP


def _open_lines(truth: np.ndarray, line: int) -> np.ndarray:
    """Return the opening of every row of ``truth`` by ``line`` px, +Inf where nothing is known."""
    filled = _fill_gaps(truth, line)
    reach = line // 2
    # Lines that reach out of the image count too, else a plane would end in a thin border.
    padded = np.pad(filled, ((0, 0), (reach, reach)), constant_values=np.inf)
    opened = cv2.morphologyEx(padded, cv2.MORPH_OPEN, np.ones((1, line), np.uint8))
    return opened[:, reach : reach + truth.shape[1]]


def _fill_gaps(truth: np.ndarray, longest: int) -> np.ndarray:
    """Return ``truth`` with gaps in its rows filled, and +Inf in longer ones.

    A gap's two known pixels are at most ``longest`` px apart.
    """
    known = np.isfinite(truth)
    count = truth.shape[1]
    column = np.broadcast_to(np.arange(count), truth.shape)
    before = np.maximum.accumulate(np.where(known, column, -1), axis=1)
    after = np.minimum.accumulate(np.where(known, column, count)[:, ::-1], axis=1)[:, ::-1]
    short = (before >= 0) & (after < count) & (after - before <= longest)
    first, last = (
        np.take_along_axis(truth, ends.clip(0, count - 1), axis=1) for ends in (before, after)
    )
    return np.where(short, np.minimum(first, last), np.inf).astype(np.float32)
