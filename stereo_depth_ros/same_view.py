"""Whether two images are one: the same view twice, be it with the noise of two readings.

Two cameras never agree to a hundredth of a pixel everywhere: what is near shows parallax, and what
is far the small errors of rows, lenses and calibration. One image and a noisy copy of it do.
"""

from __future__ import annotations

import enum

import cv2
import numpy as np

_PATCH = 32
_ROWS, _COLUMNS = 9, 12
_TEXTURE = 3.0
"""RMS gradient in grey levels per px, in every direction, from which a patch shows its shift."""

_MIN_PATCHES = 8
_STILL = ((0.1, 0.6), (0.3, 0.97))
"""Of one view, at least this share of the patches is shifted by less than so many px."""

_MAX_COMMON_SHIFT_PX = 0.02


class Views(enum.Enum):
    """What two images are to each other."""

    DIFFERENT = "different"
    SAME = "the same"
    INDISTINCT = "the same, as far as the little texture tells"
    BLANK = "too little texture to compare"


def compare_views(left: np.ndarray, right: np.ndarray) -> Views:
    """Tell whether ``left`` and ``right``, (H, W, 3) uint8 RGB each, show the same view.

    Patches all over the images are compared where they lie, at a cost that does not grow with the
    images. `Views.SAME` takes enough textured patches, nearly all of which are shifted by so little
    that noise explains it, and together by less than 0.02 px along rows and columns.
    """
    if min(left.shape[:2]) < 3:
        return Views.BLANK
    stack_left, stack_right = _patches(left), _patches(right)
    if np.array_equal(stack_left, stack_right):
        return _views(int(_textured(_gradients(stack_left)).sum()))
    difference = stack_right - stack_left
    gradients = _gradients((stack_left + stack_right) / 2)
    textured = _textured(gradients)
    if not textured.any():
        return Views.BLANK
    shifts = _shifts(gradients, difference)[textured]
    distance = np.hypot(shifts[:, 0], shifts[:, 1])
    moved = any((distance < px).mean() < share for px, share in _STILL)
    if moved or (np.abs(np.median(shifts, axis=0)) > _MAX_COMMON_SHIFT_PX).any():
        return Views.DIFFERENT
    return _views(len(shifts))


def _views(patches: int) -> Views:
    return Views.SAME if patches >= _MIN_PATCHES else Views.INDISTINCT


def _patches(image: np.ndarray) -> np.ndarray:
    """Return patches from a grid over the image, (N, P, P) float32 grey."""
    height, width = image.shape[:2]
    size = min(_PATCH, height, width)
    rows = np.unique(np.linspace(0, height - size, _ROWS).astype(int))
    columns = np.unique(np.linspace(0, width - size, _COLUMNS).astype(int))
    tiles = [image[y : y + size, x : x + size] for y in rows for x in columns]
    grey = cv2.cvtColor(np.concatenate(tiles), cv2.COLOR_RGB2GRAY)
    return grey.reshape(len(tiles), size, size).astype(np.float32)


def _gradients(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central differences along rows and columns inside the patches."""
    along_x = (patches[:, 1:-1, 2:] - patches[:, 1:-1, :-2]) / 2
    along_y = (patches[:, 2:, 1:-1] - patches[:, :-2, 1:-1]) / 2
    return along_x, along_y


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=(1, 2), dtype=np.float64)


def _textured(gradients: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    x, y = gradients
    return np.minimum(_mean(x * x), _mean(y * y)) > _TEXTURE**2


def _shifts(gradients: tuple[np.ndarray, np.ndarray], difference: np.ndarray) -> np.ndarray:
    """Return the shift (x, y) in px that explains each patch's difference best, (N, 2).

    Source: Lucas and Kanade, An iterative image registration technique, IJCAI 1981; one step.
    """
    x, y = gradients
    inner = difference[:, 1:-1, 1:-1]
    xx, xy, yy = _mean(x * x), _mean(x * y), _mean(y * y)
    xd, yd = _mean(x * inner), _mean(y * inner)
    # Diagonal stripes hide the shift along them.
    determinant = np.maximum(xx * yy - xy * xy, 0.05 * xx * yy + 1e-6)
    return np.stack([yy * xd - xy * yd, xx * yd - xy * xd], axis=1) / determinant[:, None]
