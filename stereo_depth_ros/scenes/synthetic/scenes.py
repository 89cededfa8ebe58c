"""What a batch of random scenes holds."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from stereo_depth_ros.scenes.synthetic.surfaces import Surfaces


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
