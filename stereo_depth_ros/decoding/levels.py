"""One brightness scale for the 16-bit images of a pair, and of the pairs that follow it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stereo_depth_ros.decoding.samples import Samples

_CLIPPED = 0.01
"""Share of the pixels that may exceed 255: stuck pixels and lamps must not darken the rest."""

_OVEREXPOSED = 0.1
"""So many beyond 255 are no lamp but the scene, and the scale follows at once."""

_PATIENCE = 10
"""Pairs in a row that must ask for another scale, so that a passing light changes nothing."""

_DARK = 96
"""Well below half of 255, so that a brightness close to a power of two does not flicker."""

_SAMPLES = 20_000


class Levels:
    """Brings 16-bit images to 8 bits by a shift, since cameras fill 10, 12 or 16 of the bits.

    Both views of a pair get the same shift. It is the smallest that leaves 99 % of the pixels of
    the first pair unclipped; later pairs change it only when many of them ask for it.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget the pairs so far, as for another camera."""
        self._shift: int | None = None
        self._direction = 0
        self._asking = 0

    def shift(self, views: Sequence[np.ndarray]) -> int:
        """Return by how many bits to shift ``views``, the uint16 images of one pair."""
        sample = np.concatenate([_thin_out(view) for view in views])
        ranks = [int((1 - share) * (sample.size - 1)) for share in (_OVEREXPOSED, _CLIPPED)]
        brighter, bright = (int(value) for value in np.partition(sample, ranks)[ranks])
        fitting = max(0, bright.bit_length() - 8)
        if self._shift is None:
            self._shift = fitting
        direction = (bright >= 256 << self._shift) - (bright < _DARK << self._shift)
        self._asking = self._asking + 1 if direction == self._direction else 1
        self._direction = direction
        if direction and (self._asking >= _PATIENCE or brighter >= 256 << self._shift):
            self._shift = fitting
        return self._shift


def _thin_out(view: np.ndarray) -> np.ndarray:
    # An odd step meets every colour of a Bayer mosaic.
    step = int((view.shape[0] * view.shape[1] / _SAMPLES) ** 0.5) // 2 * 2 + 1
    return view[::step, ::step].ravel()


def to_rgb(views: Sequence[Samples], levels: Levels | None = None) -> list[np.ndarray]:
    """Return the views of one pair as (H, W, 3) uint8 RGB, those of 16 bits on one scale.

    ``levels`` remembers the scale of the pairs before; without, the pair stands alone.
    """
    deep = [view.values for view in views if view.values.dtype == np.uint16]
    shift = (levels or Levels()).shift(deep) if deep else 0
    return [view.to_rgb(shift) for view in views]
