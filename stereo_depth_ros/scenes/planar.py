"""Scenes of textured planes, seen by an ideal stereo camera, with truth by construction.

Every pixel's depth is the intersection of its ray with a plane, so the truth carries no sampling
error, and both views sample one texture that is a function of the point on the surface.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.camera import StereoCamera

_TEXTURE_SIZE = 1024
_SUPERSAMPLING = 2


@dataclass(frozen=True)
class Patch:
    """A textured parallelogram in the left optical frame.

    Its points are ``origin + a * edge_a + b * edge_b`` for a, b in 0..1.

    Attributes
    ----------
    origin, edge_a, edge_b
        In m.
    tint
        Mean colour (R, G, B), 0 to 255.
    texture_size
        What one texture tile covers, m.
    seed
        Of the texture.
    """

    origin: tuple[float, float, float]
    edge_a: tuple[float, float, float]
    edge_b: tuple[float, float, float]
    tint: tuple[int, int, int] = (128, 128, 128)
    texture_size: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class RenderedPair:
    """A rendered pair and the truth of its left view.

    Attributes
    ----------
    left, right
        (H, W, 3) uint8 RGB.
    depth
        (H, W) float32 m, +Inf for sky.
    disparity
        (H, W) float32 px as matched: x_left - x_right, with the principal-point offset.
    visible
        (H, W) bool, seen in the right view too.
    """

    left: np.ndarray
    right: np.ndarray
    depth: np.ndarray
    disparity: np.ndarray
    visible: np.ndarray


def plane_scene(depth: float = 2.0) -> list[Patch]:
    """Build a wall square to the camera that fills any common field of view.

    Parameters
    ----------
    depth
        Of the wall in m.

    Returns
    -------
    list of Patch
        One.
    """
    half = 4.0 * depth
    return [
        Patch(
            (-half, -half, depth),
            (2 * half, 0, 0),
            (0, 2 * half, 0),
            (150, 130, 110),
            texture_size=depth,
        )
    ]


def yard_scene() -> list[Patch]:
    """Build what a ground robot meets: floor, wall, posts, boxes near and far, open sky.

    Returns
    -------
    list of Patch
        Up to 40 m away.
    """
    return [
        # 0.6 m above a floor that rises gently, as a slightly pitched camera sees it
        Patch((-40, 0.6, 0.5), (80, 0, 0), (0, -0.6, 40), (120, 115, 100), 1.5, 1),
        Patch((-6.0, -2.2, 7.0), (4.5, 0, 2.5), (0, 2.8, 0), (170, 120, 90), 2.0, 2),
        Patch((1.6, -0.7, 3.6), (1.5, 0, 0.6), (0, 1.25, 0), (90, 130, 160), 0.9, 3),
        Patch((-1.5, -0.2, 2.2), (0.65, 0, -0.1), (0, 0.78, 0), (180, 150, 60), 0.6, 4),
        Patch((-0.15, -1.1, 4.5), (0.12, 0, 0), (0, 1.7, 0), (110, 80, 140), 0.5, 5),
        Patch((0.45, -0.05, 1.3), (0.4, 0, 0.15), (0, 0.55, 0), (80, 150, 100), 0.4, 6),
        Patch((-2.0, -3.0, 16.0), (12, 0, 0), (0, 3.4, 0), (140, 140, 150), 4.0, 7),
    ]


def render(scene: Sequence[Patch], camera: StereoCamera) -> RenderedPair:
    """Render a scene at the size of a camera; what no patch covers is sky.

    Parameters
    ----------
    scene
        Its patches.
    camera
        What sees it.

    Returns
    -------
    RenderedPair
        With the truth of every pixel.
    """
    textures = [_texture(patch) for patch in scene]
    left, depth = _view(scene, textures, camera, camera.cx, 0.0)
    right, _ = _view(scene, textures, camera, camera.cx_right, camera.baseline)
    disparity = camera.disparity(depth)
    return RenderedPair(left, right, depth, disparity, _visible(scene, camera, depth, disparity))


def _view(
    scene: Sequence[Patch],
    textures: Sequence[np.ndarray],
    camera: StereoCamera,
    cx: float,
    eye: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image from ``eye`` (x in m) and its depth at pixel centres."""
    samples = (np.arange(_SUPERSAMPLING) + 0.5) / _SUPERSAMPLING - 0.5
    total = np.zeros((camera.height, camera.width, 3), np.float32)
    for dy in samples:
        for dx in samples:
            rays = _rays(camera, cx, dx, dy)
            total += _colour(scene, textures, rays, eye)
    image = np.rint(total / len(samples) ** 2).astype(np.uint8)
    depth, _, _, _ = _nearest(scene, _rays(camera, cx, 0.0, 0.0), eye)
    return image, depth.astype(np.float32)


def _rays(camera: StereoCamera, cx: float, dx: float, dy: float) -> tuple[np.ndarray, np.ndarray]:
    x = (np.arange(camera.width) + dx - cx) / camera.fx
    y = (np.arange(camera.height) + dy - camera.cy) / camera.fy
    return np.meshgrid(x, y)


def _nearest(
    scene: Sequence[Patch], rays: tuple[np.ndarray, np.ndarray], eye: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return depth, index of the patch (-1 sky) and the metres along its edges, per ray."""
    shape = rays[0].shape
    depth = np.full(shape, np.inf)
    index = np.full(shape, -1)
    along_a, along_b = np.zeros(shape), np.zeros(shape)
    for number, patch in enumerate(scene):
        z, a, b = _intersect(patch, rays, eye)
        hit = (z > 0) & (z < depth) & (a >= 0) & (a <= 1) & (b >= 0) & (b <= 1)
        depth[hit], index[hit] = z[hit], number
        along_a[hit] = a[hit] * np.linalg.norm(patch.edge_a)
        along_b[hit] = b[hit] * np.linalg.norm(patch.edge_b)
    return depth, index, along_a, along_b


def _intersect(
    patch: Patch, rays: tuple[np.ndarray, np.ndarray], eye: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return depth along Z and the position (a, b) on the patch's plane, per ray."""
    edge_a, edge_b = np.asarray(patch.edge_a), np.asarray(patch.edge_b)
    from_eye = np.asarray(patch.origin) - (eye, 0, 0)
    normal = np.cross(edge_a, edge_b)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = from_eye @ normal / (rays[0] * normal[0] + rays[1] * normal[1] + normal[2])
        offset = [rays[0] * z - from_eye[0], rays[1] * z - from_eye[1], z - from_eye[2]]
    # a and b solve offset = a * edge_a + b * edge_b in the plane
    gram = np.array([[edge_a @ edge_a, edge_a @ edge_b], [edge_a @ edge_b, edge_b @ edge_b]])
    dual_a, dual_b = np.linalg.inv(gram) @ np.stack([edge_a, edge_b])
    a = sum(o * w for o, w in zip(offset, dual_a, strict=True))
    b = sum(o * w for o, w in zip(offset, dual_b, strict=True))
    return z, a, b


def _colour(
    scene: Sequence[Patch],
    textures: Sequence[np.ndarray],
    rays: tuple[np.ndarray, np.ndarray],
    eye: float,
) -> np.ndarray:
    _, index, along_a, along_b = _nearest(scene, rays, eye)
    # The sky depends on direction alone, so it is at infinity in both views.
    height = np.clip(0.5 - rays[1], 0, 1)[..., None].astype(np.float32)
    colour = np.array([225, 230, 240], np.float32) - height * np.array([90, 60, 10], np.float32)
    for number, (patch, texture) in enumerate(zip(scene, textures, strict=True)):
        here = index == number
        if here.any():
            pixels = _TEXTURE_SIZE / patch.texture_size
            x = (along_a[here] * pixels).astype(np.float32)[None]
            y = (along_b[here] * pixels).astype(np.float32)[None]
            colour[here] = _sample(texture, x, y)[0]
    return colour


def _sample(texture: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    # remap takes at most 32767 columns, so long lists of points are folded into rows.
    count = x.size
    columns = min(count, 4096)
    pad = -count % columns
    fold = [np.pad(c.ravel(), (0, pad)).reshape(-1, columns) % _TEXTURE_SIZE for c in (x, y)]
    sampled = cv2.remap(texture, *fold, cv2.INTER_LINEAR, borderMode=cv2.BORDER_WRAP)
    return sampled.reshape(-1, 3)[:count][None]


def _texture(patch: Patch) -> np.ndarray:
    """Return a seamless (N, N, 3) float32 tile with detail at every scale that a view may show."""
    random = np.random.default_rng(patch.seed)
    size = _TEXTURE_SIZE
    tile = np.zeros((size, size), np.float32)
    for cells, weight in ((8, 1.0), (16, 1.0), (32, 0.9), (64, 0.8), (128, 0.6), (256, 0.4)):
        grid = random.standard_normal((cells, cells)).astype(np.float32)
        wrapped = np.pad(grid, 4, mode="wrap")
        fine = cv2.resize(
            wrapped, None, fx=size / cells, fy=size / cells, interpolation=cv2.INTER_CUBIC
        )
        margin = 4 * size // cells
        tile += weight * fine[margin : margin + size, margin : margin + size]
    tile /= tile.std()
    tint = np.array(patch.tint, np.float32)
    hue = np.array([1.0, 0.9, 0.8], np.float32)
    return np.clip(tint + 34.0 * tile[..., None] * hue, 2, 253)


def _visible(
    scene: Sequence[Patch], camera: StereoCamera, depth: np.ndarray, disparity: np.ndarray
) -> np.ndarray:
    """Whether each left pixel's point is seen by the right camera, in view and unobstructed."""
    x, y = _rays(camera, camera.cx, 0.0, 0.0)
    column = np.arange(camera.width)[None] - disparity
    with np.errstate(invalid="ignore"):
        toward = (x - camera.baseline / depth, y)
    first, _, _, _ = _nearest(scene, toward, camera.baseline)
    in_view = (column >= 0) & (column <= camera.width - 1)
    return in_view & (first >= depth * (1 - 1e-6))
