"""Draw random scenes: rooms, streets and clutter, near and far, plain and busy.

Sizes are drawn in px and disparities, since those are what a matcher meets; at disparity d one
baseline spans d px, which turns them into lengths.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.surfaces import Surfaces

PLANES, BOXES, ROUNDS, RODS, CARDS, PANES = 5, 14, 11, 8, 11, 1
LARGEST_DISPARITY = 0.3  # of the image width: 192 px at 640


@dataclass
class Materials:
    """Looks of all N surfaces of B scenes, in the order planes, boxes, rounds, cards, panes.

    ``texture`` (B, N) indexes the bank, ``tiles`` (B, N) texture tiles a baseline, ``shift``
    (B, N, 2) in tiles, ``tint`` (B, N, 3) mean colour 0 to 1, ``contrast`` (B, N) of the texture,
    ``gloss`` and ``mirror`` (B, N) 0 to 1.
    """

    texture: Tensor
    tiles: Tensor
    shift: Tensor
    tint: Tensor
    contrast: Tensor
    gloss: Tensor
    mirror: Tensor

    def to(self, device: torch.device) -> Materials:
        """Return the same materials on ``device``."""
        return Materials(*(getattr(self, f.name).to(device) for f in fields(self)))


@dataclass
class Scenes:
    """B scenes.

    ``focal`` (B,) px; ``opacity`` (B,) of the panes; ``light`` (B, 3) unit vector towards the
    light; ``ambient``, ``shade`` (B,) 0 to 1, the shadows' waves ``blotches`` (B,) in rad a
    baseline, the steepness ``softness`` (B,) of their edges; ``sky`` (B, 2, 3) colours at the
    horizon and overhead, above 1 where it is burnt out, ``clouds`` (B,) the contrast of its clouds,
    which show texture ``cloud_texture`` (B,); ``dots`` (B,) strength of an infra-red projector's
    dots, 0 for none.
    """

    focal: Tensor
    planes: Surfaces
    boxes: Surfaces
    rounds: Surfaces
    cards: Surfaces
    panes: Surfaces
    materials: Materials
    opacity: Tensor
    light: Tensor
    ambient: Tensor
    shade: Tensor
    blotches: Tensor
    softness: Tensor
    sky: Tensor
    clouds: Tensor
    cloud_texture: Tensor
    dots: Tensor

    def to(self, device: torch.device) -> Scenes:
        """Return the same scenes on ``device``."""
        return Scenes(*(getattr(self, f.name).to(device) for f in fields(self)))


class Dice:
    """Random draws from one seeded generator."""

    def __init__(self, seed: int) -> None:
        self.generator = torch.Generator().manual_seed(seed)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniformly from low..high."""
        return low + (high - low) * torch.rand(*shape, generator=self.generator)

    def log_uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw uniformly in the logarithm, for sizes."""
        return torch.exp(self.uniform(math.log(low), math.log(high), *shape))

    def chance(self, probability: float, *shape: int) -> Tensor:
        """Draw True with ``probability``."""
        return torch.rand(*shape, generator=self.generator) < probability

    def integers(self, count: int, *shape: int) -> Tensor:
        """Draw integers from 0..count - 1."""
        return torch.randint(count, shape, generator=self.generator)

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution."""
        return torch.randn(*shape, generator=self.generator)


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Return (…, 3, 3) turning about Y, then X, then Z; angles in rad."""
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (torch.cos, torch.sin))
    return (
        matrix((cr, -sr, zero), (sr, cr, zero), (zero, zero, one))
        @ matrix((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
        @ matrix((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    )


def draw(dice: Dice, batch: int, height: int, width: int, textures: int) -> Scenes:
    """Draw ``batch`` scenes for images of ``height`` x ``width`` px and a bank of ``textures``."""
    focal = width * dice.uniform(0.6, 1.4, batch)
    nearest = width * torch.where(
        dice.chance(0.25, batch),
        dice.log_uniform(0.12, LARGEST_DISPARITY, batch),
        dice.log_uniform(0.03, 0.12, batch),
    )
    farthest = (width * dice.log_uniform(0.002, 0.08, batch)).minimum(nearest / 2.5)
    tilt = rotation(torch.zeros(batch), dice.uniform(-0.3, 0.3, batch), 0.08 * dice.normal(batch))
    outdoors = dice.chance(0.35, batch)
    planes, plane_disparity = _draw_planes(
        dice, focal, nearest, farthest, tilt, outdoors, height, width
    )
    busy = dice.uniform(0.1, 1.0, batch, 1)

    def placed(count: int) -> tuple[Tensor, Tensor, Tensor]:
        ratio = (nearest / farthest)[:, None]
        disparity = farthest[:, None] * ratio ** dice.uniform(0.0, 1.0, batch, count)
        depth = focal[:, None] / disparity
        x = width * dice.uniform(-0.6, 0.6, batch, count) / disparity
        y = height * dice.uniform(-0.55, 0.6, batch, count) / disparity
        present = torch.rand(batch, count, generator=dice.generator) < busy
        return disparity, torch.stack([x, y, depth], dim=2), present

    def turned(count: int, upright: float) -> Tensor:
        yaw = dice.uniform(-math.pi, math.pi, batch, count)
        standing = tilt[:, None] @ rotation(yaw, torch.zeros_like(yaw), torch.zeros_like(yaw))
        free = rotation(yaw, dice.uniform(-1.5, 1.5, batch, count), dice.normal(batch, count))
        return torch.where(dice.chance(upright, batch, count)[..., None, None], standing, free)

    def fitting(radius: Tensor, centre: Tensor) -> Tensor:
        # Nothing may come nearer than the largest disparity.
        room = centre[:, :, 2] - (focal / nearest * 0.9)[:, None]
        reach = radius.norm(dim=2)
        return radius * (room / reach).clamp(max=1.0)[:, :, None]

    def surfaces(count: int, upright: float, radius_px: Tensor) -> tuple[Surfaces, Tensor]:
        disparity, centre, present = placed(count)
        radius = fitting(radius_px / disparity[:, :, None], centre)
        return (
            Surfaces(
                turned(count, upright),
                centre,
                radius.clamp(min=1e-3),
                present,
                torch.zeros(batch, count, dtype=torch.bool),
                torch.zeros(batch, count, dtype=torch.long),
            ),
            disparity,
        )

    def sizes(count: int) -> Tensor:
        return (
            width
            * dice.log_uniform(0.02, 0.28, batch, count, 1)
            * dice.log_uniform(0.45, 2.2, batch, count, 3)
        )

    boxes, box_disparity = surfaces(BOXES, 0.6, sizes(BOXES))
    rounds, round_disparity = surfaces(ROUNDS, 0.6, sizes(ROUNDS))
    rounds.cylinder = dice.chance(0.5, batch, ROUNDS)
    thin = dice.log_uniform(0.6, 6.0, batch, RODS, 1).expand(-1, -1, 3).clone()
    thin[:, :, 1] = width * dice.log_uniform(0.08, 0.8, batch, RODS)
    rods, rod_disparity = surfaces(RODS, 0.7, thin)
    rods.cylinder = torch.ones(batch, RODS, dtype=torch.bool)
    # The length of a rod must not thin it.
    rods.radius[:, :, ::2] = (thin[:, :, ::2] / rod_disparity[:, :, None]).clamp(min=1e-3)
    cards, card_disparity = surfaces(CARDS, 0.3, 1.6 * sizes(CARDS))
    facing = rotation(*(dice.normal(3, batch, CARDS) * 0.5).unbind(0))
    cards.rotation = facing * torch.tensor([1.0, -1.0, -1.0])
    cards.pattern = dice.integers(5, batch, CARDS)
    panes, pane_disparity = surfaces(PANES, 0.0, 2.5 * sizes(PANES))
    panes.rotation = rotation(*(dice.normal(3, batch, PANES) * 0.3).unbind(0)) * torch.tensor(
        [1.0, -1.0, -1.0]
    )
    panes.present = dice.chance(0.12, batch, PANES)

    disparity = torch.cat(
        [
            plane_disparity,
            box_disparity,
            round_disparity,
            rod_disparity,
            card_disparity,
            pane_disparity,
        ],
        dim=1,
    )
    rounds = Surfaces(
        *(
            torch.cat([getattr(rounds, f.name), getattr(rods, f.name)], dim=1)
            for f in fields(Surfaces)
        )
    )
    light = dice.normal(batch, 3) + torch.tensor([0.0, -1.0, -1.0])
    sky = dice.uniform(0.3, 1.0, batch, 2, 1) + dice.uniform(-0.15, 0.15, batch, 2, 3)
    burnt = torch.where(dice.chance(0.4, batch), dice.log_uniform(1.3, 4.0, batch), 1.0)
    return Scenes(
        focal=focal,
        planes=planes,
        boxes=boxes,
        rounds=rounds,
        cards=cards,
        panes=panes,
        materials=_draw_materials(dice, disparity, textures),
        opacity=dice.uniform(0.35, 0.8, batch),
        light=light / light.norm(dim=1, keepdim=True),
        ambient=dice.uniform(0.3, 0.8, batch),
        shade=dice.uniform(0.0, 0.6, batch),
        softness=dice.log_uniform(2.0, 30.0, batch),
        blotches=farthest.sqrt() * nearest.sqrt() * dice.log_uniform(0.01, 0.06, batch),
        sky=sky.clamp(0, 1) * burnt[:, None, None],
        clouds=dice.uniform(0.0, 0.5, batch) * dice.chance(0.4, batch),
        cloud_texture=dice.integers(textures, batch),
        dots=dice.uniform(0.2, 0.6, batch) * dice.chance(0.06, batch),
    )


def _draw_planes(
    dice: Dice,
    focal: Tensor,
    nearest: Tensor,
    farthest: Tensor,
    tilt: Tensor,
    outdoors: Tensor,
    height: int,
    width: int,
) -> tuple[Surfaces, Tensor]:
    """Floor, far wall, side walls, ceiling, each there by chance: a room, a street, or nothing."""
    batch = focal.shape[0]
    floor_disparity = nearest * dice.uniform(0.15, 0.9, batch)
    eye = height / 2 / floor_disparity
    zero = torch.zeros(batch)
    wall_yaw = 0.45 * dice.normal(batch)
    side = math.pi / 2
    # (turn of the plane's normal from -Z, how far off in baselines, how often there)
    far = focal / farthest
    # Local z looks back at the camera: a turn by pi about X first.
    turns: list[tuple[Tensor, Tensor, Tensor, Tensor | float]] = [
        (zero, zero - side, eye, torch.where(outdoors, 0.95, 0.75)),
        (wall_yaw, 0.15 * dice.normal(batch), far, 0.9 * ~outdoors),
        (wall_yaw - side, zero, eye * dice.log_uniform(0.7, 6.0, batch) + 1, 0.3),
        (wall_yaw + side, zero, eye * dice.log_uniform(0.7, 6.0, batch) + 2, 0.3),
        (zero, zero + side, eye * dice.log_uniform(0.6, 4.0, batch), 0.3 * ~outdoors),
    ]
    rotations, centres, present, disparities = [], [], [], []
    for yaw, pitch, distance, often in turns:
        turn = tilt @ rotation(yaw, zero, zero) @ rotation(zero, pitch, zero)
        towards = turn[:, :, 2]
        # The camera must lie on the surface's near side with both eyes.
        distance = distance.maximum(towards[:, 0].abs() + 0.5)
        # Nor may it come nearer than the largest disparity in a corner of the image.
        x, y, z = towards.unbind(1)
        steepest = x.abs() * width / 2 + y.abs() * height / 2 + z * focal
        distance = distance.maximum(steepest / nearest)
        rotations.append(turn * torch.tensor([1.0, -1.0, -1.0]))
        centres.append(towards * distance[:, None])
        present.append(dice.uniform(0.0, 1.0, batch) < often)
        # Half of the largest in view: texels suit what is near, and are fine enough further off.
        disparities.append((0.5 * steepest / distance).maximum(farthest))
    shape = (batch, PLANES)
    disparity = torch.stack([floor_disparity, *disparities[1:]], 1)
    return (
        Surfaces(
            torch.stack(rotations, 1),
            torch.stack(centres, 1),
            torch.ones(batch, PLANES, 3),
            torch.stack(present, 1),
            torch.zeros(shape, dtype=torch.bool),
            torch.zeros(shape, dtype=torch.long),
        ),
        disparity,
    )


def _draw_materials(dice: Dice, disparity: Tensor, textures: int) -> Materials:
    shape = tuple(disparity.shape)
    tile_px = torch.where(
        dice.chance(0.05, *shape),
        dice.log_uniform(12.0, 50.0, *shape),  # repetitive
        dice.log_uniform(100.0, 500.0, *shape),
    )
    kind = dice.uniform(0.0, 1.0, *shape)
    contrast = dice.uniform(0.7, 1.5, *shape)
    contrast = torch.where(kind < 0.2, dice.uniform(0.05, 0.5, *shape), contrast)
    contrast = torch.where(kind < 0.08, dice.uniform(0.0, 0.02, *shape), contrast)  # bare
    grey = dice.uniform(0.12, 0.85, *shape, 1)
    grey = torch.where((kind < 0.05)[..., None], dice.uniform(0.6, 0.95, *shape, 1), grey)  # white
    return Materials(
        texture=dice.integers(textures, *shape),
        tiles=disparity / tile_px,
        shift=dice.uniform(0.0, 1.0, *shape, 2),
        tint=(grey + dice.uniform(-0.18, 0.18, *shape, 3)).clamp(0.05, 1.0),
        contrast=contrast,
        gloss=dice.uniform(0.1, 0.6, *shape) * dice.chance(0.3, *shape),
        mirror=dice.uniform(0.15, 0.6, *shape) * dice.chance(0.04, *shape),
    )
