"""Surfaces and whole scenes, placed by hand."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import torch

from stereo_depth_ros.scenes.synthetic.scenes import Materials, Scenes
from stereo_depth_ros.scenes.synthetic.surfaces import Surfaces

FACING = np.diag([1.0, -1.0, -1.0])  # local z looks back at the camera


def turned(*angles):
    """Return the rotation by ``angles`` about X, Y and Z in turn, rad."""
    result = np.eye(3)
    for axis, angle in enumerate(angles):
        i, j = (k for k in range(3) if k != axis)
        turn = np.eye(3)
        turn[i, i] = turn[j, j] = np.cos(angle)
        turn[i, j], turn[j, i] = -np.sin(angle), np.sin(angle)
        result = turn @ result
    return result


def surface(centre, radius=(1.0, 1.0, 1.0), rotation=FACING, cylinder=False, pattern=0):
    """Return one surface of one scene."""
    return Surfaces(
        rotation=torch.tensor(np.array(rotation), dtype=torch.float32)[None, None],
        centre=torch.tensor(centre, dtype=torch.float32)[None, None],
        radius=torch.tensor(radius, dtype=torch.float32)[None, None],
        present=torch.tensor([[True]]),
        cylinder=torch.tensor([[cylinder]]),
        pattern=torch.tensor([[pattern]]),
    )


def together(*parts):
    """Return the surfaces of ``parts`` as one scene's."""
    return Surfaces(
        *(torch.cat([getattr(part, f.name) for part in parts], dim=1) for f in fields(Surfaces))
    )


NOTHING = replace(surface((0.0, 0.0, 1.0)), present=torch.tensor([[False]]))


def matte(count, tiles=0.05):
    """Return ``count`` materials whose colour does not depend on where one looks from."""
    return Materials(
        texture=torch.arange(count)[None] % 4,
        tiles=torch.full((1, count), tiles),
        shift=torch.zeros(1, count, 2),
        tint=torch.full((1, count, 3), 0.5),
        contrast=torch.ones(1, count),
        gloss=torch.zeros(1, count),
        mirror=torch.zeros(1, count),
    )


def scene(focal=100.0, **kinds):
    """Return one scene of the surfaces given by kind, evenly lit; the sky is blue."""
    kinds = {
        kind: kinds.get(kind, NOTHING) for kind in ("planes", "boxes", "rounds", "cards", "panes")
    }
    return Scenes(
        focal=torch.tensor([focal]),
        **kinds,
        materials=matte(sum(surfaces.count for surfaces in kinds.values())),
        opacity=torch.tensor([0.5]),
        light=torch.tensor([[0.0, -1.0, 0.0]]),
        ambient=torch.ones(1),
        shade=torch.zeros(1),
        blotches=torch.zeros(1),
        softness=torch.full((1,), 10.0),
        sky=torch.tensor([[[0.2, 0.4, 0.9]] * 2]),
        clouds=torch.zeros(1),
        cloud_texture=torch.zeros(1, dtype=torch.long),
        dots=torch.zeros(1),
    )


def one_of(scenes, b):
    """Return scene ``b`` of a batch, alone."""

    def cut(part):
        if isinstance(part, torch.Tensor):
            return part[b : b + 1]
        return type(part)(*(cut(getattr(part, f.name)) for f in fields(part)))

    return cut(scenes)
