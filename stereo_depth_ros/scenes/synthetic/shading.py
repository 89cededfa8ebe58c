"""Colour what rays have met: textures, light, shadows, highlights, mirrors, dots and sky."""

from __future__ import annotations

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.casting import SKY, Hit
from stereo_depth_ros.scenes.synthetic.fusion import fuse
from stereo_depth_ros.scenes.synthetic.scenes import Scenes
from stereo_depth_ros.scenes.synthetic.surfaces import BOX, CARD, PLANE, ROUND, Surfaces, View
from stereo_depth_ros.scenes.synthetic.textures import SIZE, TextureBank


class SurfaceTable:
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


def shade(scenes: Scenes, table: SurfaceTable, bank: TextureBank, view: View, hit: Hit) -> Tensor:
    """Return the image (B, 3, H, W), 1 for white, of what the rays of ``view`` have ``hit``."""
    colour_of = fuse(_colour, hit.surface.device)
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
    scenes: Scenes,
    table: SurfaceTable,
    bank: TextureBank,
    view: View,
    disparity: Tensor,
    index: Tensor,
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
