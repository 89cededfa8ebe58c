"""Find what the rays of a view meet first, and what they see through a pane."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.fusion import fuse
from stereo_depth_ros.scenes.synthetic.scenes import Scenes
from stereo_depth_ros.scenes.synthetic.surfaces import Surfaces, View, box, card, planes, round_

SKY = -1
"""Index of what a ray that meets no surface meets."""

Intersect = Callable[[Surfaces, int, View], Tensor]


@dataclass
class Hit:
    """First surface of every ray and what lies behind a pane, (B, H, W) each."""

    disparity: Tensor
    surface: Tensor
    behind: Tensor
    surface_behind: Tensor


def view_of(scenes: Scenes, height: int, width: int, origin: float) -> View:
    """Return the rays of a view of ``height`` x ``width`` px; ``origin`` 0 left, 1 right."""
    device = scenes.focal.device
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    eye = torch.tensor(origin, device=device)  # a number would be compiled in
    return View(x.view(1, 1, -1), y.view(1, -1, 1), scenes.focal, eye)


Window = tuple[slice, slice]
_INTERSECT: tuple[Intersect, ...] = (box, round_, card, card)


def bodies_of(scenes: Scenes) -> tuple[Surfaces, ...]:
    """Return all but the planes, in the order in which they are cast."""
    return scenes.boxes, scenes.rounds, scenes.cards, scenes.panes


def find_windows(
    scenes: Scenes, height: int, width: int, origin: float, *, small: bool
) -> list[list[Window | None]]:
    """Return, for boxes, rounds, cards and panes, where in the image each can be met.

    None where it is in no scene of the batch. ``small`` windows are what makes a CPU fast enough;
    without them each is the whole image, a shape that a kernel can be compiled for.
    """
    whole = slice(0, height), slice(0, width)

    def window(kind: Surfaces, n: int) -> Window | None:
        if not bool(kind.present[:, n].any()):
            return None
        return _window(scenes.focal, kind, n, height, width, origin) if small else whole

    return [[window(kind, n) for n in range(kind.count)] for kind in bodies_of(scenes)]


def _window(
    focal: Tensor, kind: Surfaces, n: int, height: int, width: int, origin: float
) -> Window:
    there = kind.present[:, n]
    centre, reach = kind.centre[there, n], kind.radius[there, n].norm(dim=1)
    depth = torch.stack([centre[:, 2] - reach, centre[:, 2] + reach]).clamp(min=1e-2)
    slices = []
    for position, size in ((centre[:, 1], height), (centre[:, 0] - origin, width)):
        sides = torch.stack([position - reach, position + reach])
        pixels = focal[there] * sides[:, None] / depth[None] + (size - 1) / 2
        # A pixel more, since rays beside the pixels' centres are cast too.
        low = int((pixels.min() - 1).clamp(0, size).floor())
        high = int((pixels.max() + 1).clamp(-1, size - 1).ceil()) + 1
        slices.append(slice(low, max(low, high)))
    return slices[0], slices[1]


def cast(
    planes_: Surfaces,
    bodies: list[list[Surfaces]],
    view: View,
    windows: list[list[Window | None]],
) -> Hit:
    """Return what the rays of ``view`` meet first; each of ``bodies`` in its window alone."""
    device = view.focal.device
    nearest, surface = fuse(_nearest_plane, device)(planes_, view)
    indices = iter(
        torch.arange(planes_.count, planes_.count + sum(map(len, bodies)), device=device)
    )

    def add(kind: list[Surfaces], intersect: Intersect, kind_windows: list[Window | None]) -> None:
        for one, index, window in zip(kind, indices, kind_windows, strict=False):
            if window is None:
                continue
            rows, columns = window
            part = View(view.x[..., columns], view.y[:, rows], view.focal, view.origin)
            at = (slice(None), rows, columns)
            nearest[at], surface[at] = fuse(_nearer, device)(
                intersect, one, index, part, nearest[at], surface[at]
            )

    *solid, panes = zip(bodies, _INTERSECT, windows, strict=True)
    for kind in solid:
        add(*kind)
    behind, surface_behind = nearest.clone(), surface.clone()
    add(*panes)
    return Hit(nearest, surface, behind, surface_behind)


def _nearest_plane(planes_: Surfaces, view: View) -> tuple[Tensor, Tensor]:
    nearest, surface = planes(planes_, view)
    return nearest.clamp(min=0), torch.where(nearest > 0, surface, SKY)


def _nearer(
    intersect: Intersect, one: Surfaces, index: Tensor, view: View, nearest: Tensor, surface: Tensor
) -> tuple[Tensor, Tensor]:
    """Return ``nearest`` and ``surface`` with what is met of ``one``, the surface ``index``."""
    d = intersect(one, 0, view)
    closer = d > nearest
    return torch.where(closer, d, nearest), torch.where(closer, index, surface)
