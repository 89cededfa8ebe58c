"""Render scenes into rectified pairs with exact disparity and occlusion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.layout import Scenes
from stereo_depth_ros.scenes.synthetic.surfaces import (
    BOX,
    CARD,
    PLANE,
    ROUND,
    Surfaces,
    View,
    box,
    card,
    planes,
    round_,
)
from stereo_depth_ros.scenes.synthetic.textures import SIZE, TextureBank

SKY = -1
Intersect = Callable[[Surfaces, int, View], Tensor]


@dataclass
class RenderedBatch:
    """B ideal pairs and the truth of their left views.

    ``left``, ``right`` (B, 3, H, W) float32 RGB, 1 for white and more for what burns out;
    ``disparity`` (B, 1, H, W) float32 px, 0 for sky; ``visible`` (B, 1, H, W) bool, seen in the
    right view too.
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
    """Render ``scenes``, which lie on the CPU, at ``height`` x ``width`` px on ``device``."""
    device = torch.device(device)
    windows = [
        _windows(scenes, height, width, origin, small=device.type == "cpu") for origin in (0.0, 1.0)
    ]
    scenes = scenes.to(device)
    surfaces = _Table(scenes)
    bodies = [kind.each() for kind in _bodies(scenes)]
    hits, images = [], []
    for origin, window in zip((0.0, 1.0), windows, strict=True):
        view = _view(scenes, height, width, origin)
        hit = _cast(scenes.planes, bodies, view, window)
        image = _shade(scenes, surfaces, bank, view, hit)
        hits.append(hit)
        images.append(_with_smooth_silhouettes(image, hit.surface, scenes, bodies, view, window))
    left, right = hits
    return RenderedBatch(
        left=images[0],
        right=images[1],
        disparity=left.disparity[:, None],
        visible=_visible(left, right)[:, None],
    )


@cache
def _compile(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=False)


def _fuse(function: Callable[..., Any], device: torch.device) -> Callable[..., Any]:
    """Return ``function``, on a GPU compiled into few kernels.

    One by one, its operations would each read and write whole images.
    """
    return _compile(function) if device.type == "cuda" else function


@dataclass
class _Hit:
    """First surface of every ray and what lies behind a pane, (B, H, W) each."""

    disparity: Tensor
    surface: Tensor
    behind: Tensor
    surface_behind: Tensor


def _view(scenes: Scenes, height: int, width: int, origin: float) -> View:
    device = scenes.focal.device
    x = torch.arange(width, device=device, dtype=torch.float32) - (width - 1) / 2
    y = torch.arange(height, device=device, dtype=torch.float32) - (height - 1) / 2
    eye = torch.tensor(origin, device=device)  # a number would be compiled in
    return View(x.view(1, 1, -1), y.view(1, -1, 1), scenes.focal, eye)


Window = tuple[slice, slice]
_INTERSECT: tuple[Intersect, ...] = (box, round_, card, card)


def _bodies(scenes: Scenes) -> tuple[Surfaces, ...]:
    return scenes.boxes, scenes.rounds, scenes.cards, scenes.panes


def _windows(
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

    return [[window(kind, n) for n in range(kind.count)] for kind in _bodies(scenes)]


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


def _cast(
    planes_: Surfaces,
    bodies: list[list[Surfaces]],
    view: View,
    windows: list[list[Window | None]],
) -> _Hit:
    device = view.focal.device
    nearest, surface = _fuse(_nearest_plane, device)(planes_, view)
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
            nearest[at], surface[at] = _fuse(_nearer, device)(
                intersect, one, index, part, nearest[at], surface[at]
            )

    *solid, panes = zip(bodies, _INTERSECT, windows, strict=True)
    for kind in solid:
        add(*kind)
    behind, surface_behind = nearest.clone(), surface.clone()
    add(*panes)
    return _Hit(nearest, surface, behind, surface_behind)


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
        met = _cast(scenes.planes, bodies, shifted, windows).surface
        total = total + _fuse(_colour_beside, image.device)(image, surface, met, step)
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


def _visible(left: _Hit, right: _Hit) -> Tensor:
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


class _Table:
    """One row of numbers for each surface of each scene, to be gathered per pixel."""

    def __init__(self, scenes: Scenes) -> None:
        kinds = (scenes.planes, scenes.boxes, scenes.rounds, scenes.cards, scenes.panes)
        codes = (PLANE, BOX, ROUND, CARD, CARD)
        material = scenes.materials
        rows = [
            torch.cat([kind.rotation.flatten(2) for kind in kinds], 1),
            torch.cat([kind.centre for kind in kinds], 1),
            torch.cat([kind.radius for kind in kinds], 1),
            torch.cat([_code(kind, code) for kind, code in zip(kinds, codes, strict=True)], 1),
            torch.cat([kind.cylinder for kind in kinds], 1)[..., None].float(),
            material.texture[..., None].float(),
            material.tiles[..., None],
            material.shift,
            material.tint,
            material.contrast[..., None],
            material.gloss[..., None],
            material.mirror[..., None],
        ]
        table = torch.cat(rows, 2)
        self.rows = table.flatten(0, 1)
        self.count = table.shape[1]

    def gather(self, surface: Tensor) -> Tensor:
        """Return the rows (B, H, W, 27) of ``surface`` (B, H, W); sky gets row 0."""
        batch = torch.arange(surface.shape[0], device=surface.device).view(-1, 1, 1)
        return self.rows[batch * self.count + surface.clamp(min=0)]


def _code(kind: Surfaces, code: int) -> Tensor:
    return torch.full((*kind.centre.shape[:2], 1), float(code), device=kind.centre.device)


def _shade(scenes: Scenes, table: _Table, bank: TextureBank, view: View, hit: _Hit) -> Tensor:
    colour_of = _fuse(_colour, hit.surface.device)
    colour = colour_of(scenes, table, bank, view, hit.behind, hit.surface_behind)
    pane = hit.surface != hit.surface_behind
    if pane.any():
        front = colour_of(scenes, table, bank, view, hit.disparity, hit.surface)
        opacity = (scenes.opacity[:, None, None] * pane)[..., None]
        colour = torch.lerp(colour, front, opacity)
    # What sees the projector's infra-red dots sees no colours.
    infra_red = (scenes.dots > 0)[:, None, None, None]
    colour = torch.where(infra_red, colour.mean(3, keepdim=True), colour)
    return colour.clamp(min=0).permute(0, 3, 1, 2).contiguous()


def _colour(
    scenes: Scenes, table: _Table, bank: TextureBank, view: View, disparity: Tensor, index: Tensor
) -> Tensor:
    """Return the colour (B, H, W, 3) of the surfaces ``index`` that rays meet at ``disparity``."""
    row = table.gather(index)
    batch, height, width = disparity.shape
    focal = view.focal[:, None, None]
    ray = torch.stack(
        [
            view.x.expand(batch, height, width),
            view.y.expand(batch, height, width),
            focal.expand(batch, height, width),
        ],
        dim=3,
    )
    depth = 1 / disparity.clamp(min=1e-3)
    point = ray * depth[..., None]
    point[..., 0] += view.origin
    rotation = row[..., :9].unflatten(3, (3, 3))
    centre, radius, kind, cylinder = row[..., 9:12], row[..., 12:15], row[..., 15], row[..., 16]
    texture, tiles, shift = row[..., 17].long(), row[..., 18], row[..., 19:21]
    tint, contrast, gloss, mirror = row[..., 21:24], row[..., 24], row[..., 25], row[..., 26]

    relative = point - centre
    # Written out: a product of matrices would be one for each pixel.
    local = (relative[..., None] * rotation).sum(3)
    unit = local / radius
    normal, u, v = _surface_frame(kind, cylinder, unit, local, radius)
    normal = (rotation * normal[..., None, :]).sum(4)
    direction = ray / ray.norm(dim=3, keepdim=True)
    facing = -(normal * direction).sum(3)
    normal = normal * facing.sign()[..., None]
    facing = facing.abs()

    # One pixel spans 1 / d baselines, more on a slant; seen from between the eyes, so that both
    # take the same level.
    middle = point.clone()
    middle[..., 0] -= 0.5
    slant = (normal * middle).sum(3).abs() / middle.norm(dim=3).clamp(min=1e-6)
    texels = tiles * SIZE * depth / slant.clamp(min=0.05)
    sample = bank.sample(texture, u * tiles + shift[..., 0], v * tiles + shift[..., 1], texels)
    albedo = tint * (1 + contrast[..., None] * 2 * (sample - 0.5))
    light = scenes.light[:, None, None, :]
    lambert = (normal * light).sum(3).clamp(min=0)
    ambient = scenes.ambient[:, None, None]
    # Soft shadows: blotches fixed in the world, seen along the light.
    along = point / (1 + scenes.light[:, None, None, 1:2].abs())
    tone = (along * scenes.blotches[:, None, None, None]).sin()
    edge = scenes.softness[:, None, None]
    shaded = ((tone[..., 0] * tone[..., 2] - 0.1) * edge).sigmoid()
    shadow = 1 - scenes.shade[:, None, None] * shaded * 0.8
    bright = ambient + (1 - ambient) * lambert * 1.4 * shadow
    colour = albedo.clamp(0, 1.2) * bright[..., None]

    bounced = direction + 2 * facing[..., None] * normal
    highlight = (bounced * light).sum(3).clamp(min=0) ** 24
    colour = colour + (gloss * highlight)[..., None]
    surroundings = bank.sample(
        (texture + 1) % bank.count, bounced[..., 0] * 0.8, bounced[..., 1] * 0.8, texels * 0 + 2
    )
    colour = torch.lerp(colour, surroundings, mirror[..., None])
    colour = colour + _dots(scenes, point)
    return torch.where((index == SKY)[..., None], _sky(scenes, bank, direction), colour)


def _surface_frame(
    kind: Tensor, cylinder: Tensor, unit: Tensor, local: Tensor, radius: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the local normal (…, 3) and texture coordinates u, v in baselines."""
    flat = torch.zeros_like(unit)
    flat[..., 2] = 1
    side = unit.abs().argmax(3, keepdim=True)
    face = torch.zeros_like(unit).scatter(3, side, 1.0)
    curved = unit / radius
    capped = (cylinder > 0) & (unit[..., 1].abs() > 0.9999)
    curved[..., 1] = torch.where(cylinder > 0, capped.float(), curved[..., 1])
    curved[..., ::2] = torch.where(capped[..., None], 0.0, curved[..., ::2])
    curved = curved / curved.norm(dim=3, keepdim=True).clamp(min=1e-9)
    is_box, is_round = (kind == BOX)[..., None], (kind == ROUND)[..., None]
    normal = torch.where(is_box, face, torch.where(is_round, curved, flat))
    side = side[..., 0]
    x, y, z = local.unbind(3)
    is_box, is_round = is_box[..., 0], is_round[..., 0] & ~capped
    around = torch.atan2(unit[..., 0], unit[..., 2]) * radius[..., 0]
    u = torch.where(is_box & (side == 0), z, torch.where(is_round, around, x))
    v = torch.where((is_box & (side == 1)) | capped, z, y)
    return normal, u, v


def _dots(scenes: Scenes, point: Tensor) -> Tensor:
    """Light of a dot projector half way between the cameras, (B, H, W, 1)."""
    # On a GPU the question costs more than the dots.
    if scenes.dots.is_cpu and not bool((scenes.dots > 0).any()):
        return torch.zeros_like(point[..., :1])
    u = (point[..., 0] - 0.5) / point[..., 2] * 160
    v = point[..., 1] / point[..., 2] * 160
    cell = u.floor() * 12.9898 + v.floor() * 78.233
    chosen = (cell.sin() * 43758.5453) % 1.0 < 0.35
    near = (u % 1.0 - 0.5).square() + (v % 1.0 - 0.5).square()
    dot = torch.exp(-near * 25) * chosen * scenes.dots[:, None, None]
    return dot[..., None]


def _sky(scenes: Scenes, bank: TextureBank, direction: Tensor) -> Tensor:
    up = (-direction[..., 1:2] * 2).clamp(0, 1)
    horizon, overhead = (scenes.sky[:, i][:, None, None] for i in (0, 1))
    texture = scenes.cloud_texture[:, None, None].expand(direction.shape[:3])
    u, v = direction[..., 0], 2 * direction[..., 1]
    clouds = bank.sample(texture, u, v, torch.ones_like(u)).mean(3, keepdim=True) - 0.5
    return torch.lerp(horizon, overhead, up) * (1 + scenes.clouds[:, None, None, None] * clouds)
