"""Whether two images are one: the same view twice, be it with the noise of two readings.

Two cameras never agree to a hundredth of a pixel everywhere: what is near shows parallax, and what
is far the small errors of rows, lenses and calibration. One image and a copy of it do, be the copy
noisy or brighter.
"""

from __future__ import annotations

import enum

import cv2
import numpy as np

_PATCH = 32
_ROWS, _COLUMNS = 7, 9
_TEXTURE = 3.0
"""RMS gradient in grey levels per px, in every direction, from which a patch shows its shift."""

_MIN_GAIN = 0.5
"""Share of that texture which each of the views must have."""

_BLACK, _MAX_BLACK = 8, 0.05
"""Patches of which more than this share is so dark may show the edge of a mask in both views."""

_MIN_PATCHES, _MIN_LINES, _MIN_SHARE = 8, 4, 0.12
"""Textured patches that prove one view, on as many rows and columns, and of all patches."""

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
    images. `Views.SAME` takes textured patches all over, nearly all of which are shifted by so
    little that noise explains it, and together by less than 0.02 px along rows and columns.
    """
    if min(left.shape[:2]) < 3:
        return Views.BLANK
    stack_left, stack_right, places = _patches(left, right)
    if np.array_equal(stack_left, stack_right):
        return _views(places[_mask_texture(_gradients(stack_left))], len(places))
    difference = stack_right - stack_left
    brightness = (stack_left + stack_right) / 2
    gradients = _gradients(brightness)
    textured = _mask_texture(gradients)
    for view in (stack_left, stack_right):
        # A black view is any other at no gain, and shows nothing all the same.
        textured &= _mask_texture(_gradients(view), _MIN_GAIN * _TEXTURE)
    if not textured.any():
        return Views.BLANK
    shifts = _shifts(gradients, difference, brightness)[textured]
    distance = np.hypot(shifts[:, 0], shifts[:, 1])
    moved = any((distance < px).mean() < share for px, share in _STILL)
    if moved or (np.abs(np.median(shifts, axis=0)) > _MAX_COMMON_SHIFT_PX).any():
        return Views.DIFFERENT
    return _views(places[textured], len(places))


def _views(places: np.ndarray, patches: int) -> Views:
    """Judge still patches at ``places`` (N, 2), of so many ``patches``."""
    # The edge of a mask, or a text in both images, is no view.
    is_all_over = min(len(np.unique(places[:, axis])) for axis in (0, 1)) >= _MIN_LINES
    enough = max(_MIN_PATCHES, _MIN_SHARE * patches)
    return Views.SAME if is_all_over and len(places) >= enough else Views.INDISTINCT


def _patches(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the patches of a grid over both images, (N, P, P) float32 grey each.

    Third are their places (N, 2), row and column in px. Patches that are dark in both are left out.
    """
    height, width = left.shape[:2]
    size = min(_PATCH, height, width)
    rows = np.unique(np.linspace(0, height - size, _ROWS).astype(int))
    columns = np.unique(np.linspace(0, width - size, _COLUMNS).astype(int))
    places = np.array([(y, x) for y in rows for x in columns])
    greys = [
        cv2.cvtColor(
            np.concatenate([image[y : y + size, x : x + size] for y, x in places]),
            cv2.COLOR_RGB2GRAY,
        ).reshape(len(places), size, size)
        for image in (left, right)
    ]
    dark = np.maximum(*greys) <= _BLACK
    shown = dark.mean(axis=(1, 2)) <= _MAX_BLACK
    patches = [grey[shown].astype(np.float32) for grey in greys]
    return patches[0], patches[1], places[shown]


def _gradients(patches: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the central differences along rows and columns inside the patches."""
    along_x = (patches[:, 1:-1, 2:] - patches[:, 1:-1, :-2]) / 2
    along_y = (patches[:, 2:, 1:-1] - patches[:, :-2, 1:-1]) / 2
    return along_x, along_y


def _mean(values: np.ndarray) -> np.ndarray:
    _, rows, columns = values.shape
    return values.reshape(-1, rows * columns).mean(axis=1)


def _mask_texture(
    gradients: tuple[np.ndarray, np.ndarray], texture: float = _TEXTURE
) -> np.ndarray:
    x, y = gradients
    return np.minimum(_mean(x * x), _mean(y * y)) > texture**2


def _shifts(
    gradients: tuple[np.ndarray, np.ndarray], difference: np.ndarray, brightness: np.ndarray
) -> np.ndarray:
    """Return the shift (x, y) in px that explains each patch's difference best, (N, 2).

    ``brightness`` (N, P, P) times any gain, plus any level, counts as no difference.

    Source: Lucas and Kanade, An iterative image registration technique, IJCAI 1981; one step.
    """
    inner = brightness[:, 1:-1, 1:-1]
    inner = inner - _mean(inner)[:, None, None]
    power = np.maximum(_mean(inner * inner), 1e-6)

    def without_exposure(values: np.ndarray) -> np.ndarray:
        values = values - _mean(values)[:, None, None]
        return values - (_mean(values * inner) / power)[:, None, None] * inner

    x, y = map(without_exposure, gradients)
    inner_difference = without_exposure(difference[:, 1:-1, 1:-1])
    xx, xy, yy = _mean(x * x), _mean(x * y), _mean(y * y)
    xd, yd = _mean(x * inner_difference), _mean(y * inner_difference)
    # Diagonal stripes hide the shift along them.
    determinant = np.maximum(xx * yy - xy * xy, 0.05 * xx * yy + 1e-6)
    return np.stack([yy * xd - xy * yd, xx * yd - xy * xd], axis=1) / determinant[:, None]
