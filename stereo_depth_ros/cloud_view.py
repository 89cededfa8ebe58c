"""A point cloud drawn as one sees it from a raised place behind the camera."""

from __future__ import annotations

from math import cos, radians, sin

import numpy as np

BACKGROUND = (236, 238, 241)

PITCH_DEG, YAW_DEG = 22.0, -18.0
"""How far the view looks down, and from how far to the side, about the middle of the cloud."""

_MAX_POINTS = 400_000
_FAR = 90.0
"""Percentile of the depths up to which points decide what the view frames."""
_SHOWN = (0.3, 99.7)
"""Percentiles of the framed points along either axis between which the picture shows them."""
_OVERLAP = 1.6
"""Surfaces that the view sees less obliquely than the camera did have wider gaps."""
_MAX_STEP = 0.06
"""Ratio of the depths of neighbours above which a point lies between two surfaces."""


def draw_cloud(
    points: np.ndarray, colours: np.ndarray, size: tuple[int, int] = (480, 960)
) -> np.ndarray:
    """Return a picture of ``size`` (height, width) px, (height, width, 3) uint8 RGB.

    Parameters
    ----------
    points
        (H, W, 3) float32 m in the left optical frame, not finite where there is none.
    colours
        (H, W, 3) uint8 RGB.
    size
        Height and width in px.
    """
    height, width = size
    picture = np.full((height, width, 3), BACKGROUND, np.uint8)
    stride = max(1, round((points.shape[0] * points.shape[1] / _MAX_POINTS) ** 0.5))
    points, colours = points[::stride, ::stride], colours[::stride, ::stride]
    shown = np.isfinite(points).all(axis=-1) & _lie_on_surfaces(points[..., 2])
    if not shown.any():
        return picture
    seen, paint = points[shown].astype(np.float64), colours[shown]
    framed = seen[:, 2] <= np.percentile(seen[:, 2], _FAR)
    view = _turn(seen, middle=np.median(seen[framed], axis=0))
    scale, centre = _frame(view[framed], width, height)
    x, y, z = view.T
    column, row = scale * x / z + centre[0], scale * y / z + centre[1]
    in_front = z > 0
    # As large as the gaps between neighbours, of which one image column is a fixed angle.
    spacing = np.nanmedian(np.abs(np.diff(points[..., 0], axis=1) / points[:, 1:, 2]))
    dot = np.clip(np.ceil(_OVERLAP * scale * spacing * seen[:, 2] / z), 1, 5)
    _splat(picture, column[in_front], row[in_front], z[in_front], dot[in_front], paint[in_front])
    return picture


def _lie_on_surfaces(depth: np.ndarray) -> np.ndarray:
    """Return where ``depth`` (H, W) m differs little from that of some neighbour on both axes."""
    on_both = np.ones(depth.shape, bool)
    for axis in (0, 1):
        with np.errstate(invalid="ignore"):
            step = np.abs(np.diff(depth, axis=axis)) / np.minimum(
                *(np.take(depth, range(s, depth.shape[axis] - 1 + s), axis=axis) for s in (0, 1))
            )
        near = step < _MAX_STEP
        before = np.concatenate([np.zeros_like(near.take([0], axis)), near], axis=axis)
        after = np.concatenate([near, np.zeros_like(near.take([0], axis))], axis=axis)
        on_both &= before | after
    return on_both


def _turn(points: np.ndarray, middle: np.ndarray) -> np.ndarray:
    """Return ``points`` (N, 3) as seen from behind the camera, raised and from the side, in m."""
    pitch, yaw = radians(PITCH_DEG), radians(YAW_DEG)
    about_y = np.array([[cos(yaw), 0, -sin(yaw)], [0, 1, 0], [sin(yaw), 0, cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, cos(pitch), -sin(pitch)], [0, sin(pitch), cos(pitch)]])
    return (points - middle) @ (about_x @ about_y).T + [0, 0, 1.25 * np.linalg.norm(middle)]


def _frame(view: np.ndarray, width: int, height: int) -> tuple[float, tuple[float, float]]:
    """Return focal length and principal point in px with which ``view`` (N, 3) fills a picture."""
    z = np.maximum(view[:, 2], 1e-3)
    low_x, high_x = np.percentile(view[:, 0] / z, _SHOWN)
    low_y, high_y = np.percentile(view[:, 1] / z, _SHOWN)
    spread_x, spread_y = max(high_x - low_x, 1e-6), max(high_y - low_y, 1e-6)
    scale = 0.9 * min(width / spread_x, height / spread_y)
    middle = (low_x + high_x) / 2, (low_y + high_y) / 2
    return scale, (width / 2 - scale * middle[0], height / 2 - scale * middle[1])


def _splat(
    picture: np.ndarray,
    column: np.ndarray,
    row: np.ndarray,
    z: np.ndarray,
    dot: np.ndarray,
    paint: np.ndarray,
) -> None:
    """Draw squares of ``dot`` px, the nearest last, so that it hides what is behind it."""
    height, width = picture.shape[:2]
    places, colours, depths = [], [], []
    for down in range(int(dot.max())):
        for right in range(int(dot.max())):
            covered = (dot > down) & (dot > right)
            x = np.floor(column[covered] - dot[covered] / 2 + 0.5).astype(np.int64) + right
            y = np.floor(row[covered] - dot[covered] / 2 + 0.5).astype(np.int64) + down
            inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
            places.append(y[inside] * width + x[inside])
            colours.append(paint[covered][inside])
            depths.append(z[covered][inside])
    order = np.argsort(-np.concatenate(depths), kind="stable")
    picture.reshape(-1, 3)[np.concatenate(places)[order]] = np.concatenate(colours)[order]
