"""Render scenes into rectified pairs with exact disparity and occlusion."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.casting import (
    Hit,
    Window,
    bodies_of,
    cast,
    find_windows,
    view_of,
)
from stereo_depth_ros.scenes.synthetic.fusion import fuse
from stereo_depth_ros.scenes.synthetic.scenes import Scenes
from stereo_depth_ros.scenes.synthetic.shading import SurfaceTable, shade
from stereo_depth_ros.scenes.synthetic.surfaces import Surfaces, View
from stereo_depth_ros.scenes.synthetic.textures import TextureBank


@dataclass
class RenderedBatch:
    """B ideal pairs and the truth of their left views.

    Attributes
    ----------
    left, right
        (B, 3, H, W) float32 RGB, 1 for white and more for what burns out.
    disparity
        (B, 1, H, W) float32 px, 0 for sky.
    visible
        (B, 1, H, W) bool, seen in the right view too.
    """

    left: Tensor
    right: Tensor
    disparity: Tensor
    visible: Tensor


@torch.no_grad()
def render(
    scenes: Scenes,
    bank: TextureBank,
    height: int,
    width: int,
    device: torch.device | str = "cpu",
) -> RenderedBatch:
    """Render scenes.

    Parameters
    ----------
    scenes
        On the CPU.
    bank
        Textures, on ``device``.
    height, width
        Of the images in px.
    device
        Where to render.

    Returns
    -------
    RenderedBatch
        On ``device``.
    """
    device = torch.device(device)
    windows = [
        find_windows(scenes, height, width, origin, small=device.type == "cpu")
        for origin in (0.0, 1.0)
    ]
    scenes = scenes.to(device)
    surfaces = SurfaceTable(scenes)
    bodies = [kind.each() for kind in bodies_of(scenes)]
    hits, images = [], []
    for origin, window in zip((0.0, 1.0), windows, strict=True):
        view = view_of(scenes, height, width, origin)
        hit = cast(scenes.planes, bodies, view, window)
        image = shade(scenes, surfaces, bank, view, hit)
        hits.append(hit)
        images.append(_with_smooth_silhouettes(image, hit.surface, scenes, bodies, view, window))
    left, right = hits
    return RenderedBatch(
        left=images[0],
        right=images[1],
        disparity=left.disparity[:, None],
        visible=_visible(left, right)[:, None],
    )


def _with_smooth_silhouettes(
    image: Tensor,
    surface: Tensor,
    scenes: Scenes,
    bodies: list[list[Surfaces]],
    view: View,
    windows: list[list[Window | None]],
) -> Tensor:
    """Return ``image`` (B, 3, H, W) with what three rays a pixel meet, where it is not one surface.

    With one ray a pixel, silhouettes would lie at whole columns in either view, and seem to be up
    to a px away from the truth. Shading costs most of a ray, and a neighbouring pixel has shaded
    the other surface.
    """
    total = image
    for step in (-1, 1):
        shifted = View(view.x + step / 3, view.y, view.focal, view.origin)
        met = cast(scenes.planes, bodies, shifted, windows).surface
        total = total + fuse(_colour_beside, image.device)(image, surface, met, step)
    return total / 3


def _colour_beside(image: Tensor, surface: Tensor, met: Tensor, step: int) -> Tensor:
    """Return ``image`` coloured like a neighbour where rays ``step`` / 3 px off ``met`` it."""

    def beside(values: Tensor, step: int) -> Tensor:
        edge = values[..., :1] if step < 0 else values[..., -1:]
        parts = (edge, values[..., :-1]) if step < 0 else (values[..., 1:], edge)
        return torch.cat(parts, dim=-1)

    colour = image
    for side in (-step, step):  # the nearer neighbour last, so that it counts
        other = (met != surface) & (met == beside(surface, side))
        colour = torch.where(other[:, None], beside(image, side), colour)
    return colour


def _visible(left: Hit, right: Hit) -> Tensor:
    """Tell where one of the two right pixels at a left pixel's match shows its surface."""
    width = left.disparity.shape[2]
    x = torch.arange(width, device=left.disparity.device) - left.disparity
    column = x.floor().long()
    seen = torch.zeros_like(left.disparity, dtype=torch.bool)
    for neighbour in (column, column + 1):
        at = neighbour.clamp(0, width - 1)
        same = right.surface.gather(2, at) == left.surface
        # The far side of one body can hide behind its near side.
        close = (right.disparity.gather(2, at) - left.disparity).abs() < 1
        seen |= same & close
    return seen & (x > -0.5)
