"""Draw random scenes: rooms, streets and clutter, near and far, plain and busy.

Sizes are drawn in px and disparities, since those are what a matcher meets; at disparity d one
baseline spans d px, which turns them into lengths.
"""

from __future__ import annotations

import math
from dataclasses import fields

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.dice import Dice
from stereo_depth_ros.scenes.synthetic.mix import SceneMix
from stereo_depth_ros.scenes.synthetic.scenes import Materials, Scenes
from stereo_depth_ros.scenes.synthetic.surfaces import PATTERNS, Surfaces

PLANES, BOXES, ROUNDS, RODS, CARDS, PANES = 5, 14, 11, 8, 11, 1


def rotation(yaw: Tensor, pitch: Tensor, roll: Tensor) -> Tensor:
    """Turn about Y, then X, then Z.

    Parameters
    ----------
    yaw, pitch, roll
        In rad, of any one shape.

    Returns
    -------
    Tensor
        (…, 3, 3).
    """
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*rows: tuple[Tensor, Tensor, Tensor]) -> Tensor:
        return torch.stack([torch.stack(row, -1) for row in rows], -2)

    cy, sy, cp, sp, cr, sr = (f(a) for a in (yaw, pitch, roll) for f in (torch.cos, torch.sin))
    return (
        matrix((cr, -sr, zero), (sr, cr, zero), (zero, zero, one))
        @ matrix((one, zero, zero), (zero, cp, -sp), (zero, sp, cp))
        @ matrix((cy, zero, sy), (zero, one, zero), (-sy, zero, cy))
    )


def draw(
    dice: Dice, batch: int, height: int, width: int, textures: int, mix: SceneMix | None = None
) -> Scenes:
    """Draw random scenes.

    Parameters
    ----------
    dice
        What they are drawn with.
    batch
        How many.
    height, width
        Of the images that they are for, px.
    textures
        How many the bank holds.
    mix
        What the scenes are like, by default as `SceneMix` says.

    Returns
    -------
    Scenes
        On the CPU.
    """
    mix = mix or SceneMix()
    focal = width * dice.uniform(*mix.focal, batch)
    nearest = width * torch.where(
        dice.chance(mix.near_share, batch),
        dice.log_uniform(*mix.nearest_if_near, batch),
        dice.log_uniform(*mix.nearest, batch),
    )
    farthest = (width * dice.log_uniform(*mix.farthest, batch)).minimum(nearest / 2.5)
    pitch, roll = dice.uniform(*mix.pitch, batch), mix.roll * dice.normal(batch)
    tilt = rotation(torch.zeros(batch), pitch, roll)
    outdoors = dice.chance(mix.outdoors_share, batch)
    planes, plane_disparity = _draw_planes(
        dice, mix, focal, nearest, farthest, tilt, outdoors, height, width
    )
    busy = dice.uniform(*mix.busyness, batch, 1)

    def place(count: int) -> tuple[Tensor, Tensor, Tensor]:
        ratio = (nearest / farthest)[:, None]
        disparity = farthest[:, None] * ratio ** dice.uniform(0.0, 1.0, batch, count)
        depth = focal[:, None] / disparity
        x = width * dice.uniform(*mix.column, batch, count) / disparity
        y = height * dice.uniform(*mix.row, batch, count) / disparity
        present = torch.rand(batch, count, generator=dice.generator) < busy
        return disparity, torch.stack([x, y, depth], dim=2), present

    def turn(count: int, upright: float) -> Tensor:
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
        disparity, centre, present = place(count)
        radius = fitting(radius_px / disparity[:, :, None], centre)
        return (
            Surfaces(
                turn(count, upright),
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
            * dice.log_uniform(*mix.size, batch, count, 1)
            * dice.log_uniform(*mix.aspect, batch, count, 3)
        )

    boxes, box_disparity = surfaces(BOXES, mix.upright_share, sizes(BOXES))
    rounds, round_disparity = surfaces(ROUNDS, mix.upright_share, sizes(ROUNDS))
    rounds.cylinder = dice.chance(mix.cylinder_share, batch, ROUNDS)
    thin = dice.log_uniform(*mix.rod_thickness_px, batch, RODS, 1).expand(-1, -1, 3).clone()
    thin[:, :, 1] = width * dice.log_uniform(*mix.rod_length, batch, RODS)
    rods, rod_disparity = surfaces(RODS, mix.rod_upright_share, thin)
    rods.cylinder = torch.ones(batch, RODS, dtype=torch.bool)
    # The length of a rod must not thin it.
    rods.radius[:, :, ::2] = (thin[:, :, ::2] / rod_disparity[:, :, None]).clamp(min=1e-3)
    cards, card_disparity = surfaces(CARDS, 0.3, mix.card_scale * sizes(CARDS))
    facing = rotation(*(dice.normal(3, batch, CARDS) * mix.card_turn).unbind(0))
    cards.rotation = facing * torch.tensor([1.0, -1.0, -1.0])
    cards.pattern = dice.integers(len(PATTERNS), batch, CARDS)
    panes, pane_disparity = surfaces(PANES, 0.0, mix.pane_scale * sizes(PANES))
    facing = rotation(*(dice.normal(3, batch, PANES) * mix.pane_turn).unbind(0))
    panes.rotation = facing * torch.tensor([1.0, -1.0, -1.0])
    panes.present = dice.chance(mix.pane_share, batch, PANES)

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
    sky = dice.uniform(*mix.sky_brightness, batch, 2, 1) + dice.uniform(*mix.sky_tint, batch, 2, 3)
    is_burnt = dice.chance(mix.burnt_sky_share, batch)
    burnt = torch.where(is_burnt, dice.log_uniform(*mix.burnt_sky, batch), 1.0)
    return Scenes(
        focal=focal,
        planes=planes,
        boxes=boxes,
        rounds=rounds,
        cards=cards,
        panes=panes,
        materials=_draw_materials(dice, mix, disparity, textures),
        opacity=dice.uniform(*mix.pane_opacity, batch),
        light=light / light.norm(dim=1, keepdim=True),
        ambient=dice.uniform(*mix.ambient, batch),
        shade=dice.uniform(*mix.shade, batch),
        softness=dice.log_uniform(*mix.shade_steepness, batch),
        blotches=farthest.sqrt() * nearest.sqrt() * dice.log_uniform(*mix.shade_waves, batch),
        sky=sky.clamp(0, 1) * burnt[:, None, None],
        clouds=dice.uniform(*mix.clouds, batch) * dice.chance(mix.clouds_share, batch),
        cloud_texture=dice.integers(textures, batch),
        dots=dice.uniform(*mix.dots, batch) * dice.chance(mix.dots_share, batch),
    )


def _draw_planes(
    dice: Dice,
    mix: SceneMix,
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
    floor_disparity = nearest * dice.uniform(*mix.floor, batch)
    eye = height / 2 / floor_disparity
    zero = torch.zeros(batch)
    wall_yaw = mix.far_wall_turn * dice.normal(batch)
    side = math.pi / 2
    # (turn of the plane's normal from -Z, how far off in baselines, how often there)
    far = focal / farthest
    floor_share = torch.where(outdoors, mix.floor_share_outdoors, mix.floor_share_indoors)

    def side_wall() -> Tensor:
        return eye * dice.log_uniform(*mix.side_wall_distance, batch)

    def ceiling() -> Tensor:
        return eye * dice.log_uniform(*mix.ceiling_distance, batch)

    # Local z looks back at the camera: a turn by pi about X first.
    turns: list[tuple[Tensor, Tensor, Tensor, Tensor | float]] = [
        (zero, zero - side, eye, floor_share),
        (wall_yaw, mix.far_wall_lean * dice.normal(batch), far, mix.far_wall_share * ~outdoors),
        (wall_yaw - side, zero, side_wall() + 1, mix.side_wall_share),
        (wall_yaw + side, zero, side_wall() + 2, mix.side_wall_share),
        (zero, zero + side, ceiling(), mix.ceiling_share * ~outdoors),
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


def _draw_materials(dice: Dice, mix: SceneMix, disparity: Tensor, textures: int) -> Materials:
    shape = tuple(disparity.shape)
    tile_px = torch.where(
        dice.chance(mix.repetitive_share, *shape),
        dice.log_uniform(*mix.repetitive_tile_px, *shape),
        dice.log_uniform(*mix.tile_px, *shape),
    )
    kind = dice.uniform(0.0, 1.0, *shape)
    is_white, is_bare, is_faint = (
        kind < share for share in (mix.white_share, mix.bare_share, mix.faint_share)
    )
    contrast = dice.uniform(*mix.contrast, *shape)
    contrast = torch.where(is_faint, dice.uniform(*mix.faint_contrast, *shape), contrast)
    contrast = torch.where(is_bare, dice.uniform(*mix.bare_contrast, *shape), contrast)
    grey = dice.uniform(*mix.grey, *shape, 1)
    grey = torch.where(is_white[..., None], dice.uniform(*mix.white, *shape, 1), grey)
    return Materials(
        texture=dice.integers(textures, *shape),
        tiles=disparity / tile_px,
        shift=dice.uniform(0.0, 1.0, *shape, 2),
        tint=(grey + dice.uniform(*mix.tint, *shape, 3)).clamp(0.05, 1.0),
        contrast=contrast,
        gloss=dice.uniform(*mix.gloss, *shape) * dice.chance(mix.gloss_share, *shape),
        mirror=dice.uniform(*mix.mirror, *shape) * dice.chance(mix.mirror_share, *shape),
    )
