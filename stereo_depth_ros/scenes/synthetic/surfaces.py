"""What a scene is made of, and where rays meet it.

A ray of pixel (x, y) from camera centre o = (ox, 0, 0) is o + r / d with r = (x - cx, y - cy, f)
and d the disparity in px: a half-space n.X <= h bounds d linearly, a quadric quadratically.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

FAR = 1e6
PLANE, BOX, ROUND, CARD = range(4)
# How a card is cut out: whole, or with holes that one sees through.
PATTERNS = ("whole", "bars", "mesh", "discs", "leaves")


@dataclass
class Surfaces:
    """Surfaces of one kind in each of B scenes, N a scene; unit: the baseline.

    ``rotation`` (B, N, 3, 3) has the local axes as columns, ``centre`` (B, N, 3) and ``radius``
    (B, N, 3) are the local frame's origin and half extents. A plane is local z = 0 with the camera
    on its +z side; a box fills its extents; a round is an ellipsoid, or with ``cylinder`` (B, N)
    an elliptic cylinder along local y; a card is a rectangle in local z = 0, ``pattern`` (B, N)
    indexes PATTERNS. What is not ``present`` (B, N) is never hit.
    """

    rotation: Tensor
    centre: Tensor
    radius: Tensor
    present: Tensor
    cylinder: Tensor
    pattern: Tensor

    def to(self, device: torch.device) -> Surfaces:
        """Return the same surfaces on ``device``."""
        return Surfaces(*(getattr(self, f.name).to(device) for f in fields(self)))

    @property
    def count(self) -> int:
        """Surfaces of this kind in each scene."""
        return self.centre.shape[1]

    def each(self) -> list[Surfaces]:
        """Return each of the N on its own, all of one memory layout."""
        parts = [getattr(self, f.name).transpose(0, 1)[:, :, None] for f in fields(self)]
        return [Surfaces(*one) for one in zip(*(p.contiguous() for p in parts), strict=True)]


@dataclass
class View:
    """Rays of one camera over B scenes: pixel offsets ``x`` (1, 1, W), ``y`` (1, H, 1), px.

    ``focal`` (B,) is in px, ``origin`` () the camera's x in baselines: 0 left, 1 right.
    """

    x: Tensor
    y: Tensor
    focal: Tensor
    origin: Tensor

    def linear(self, normal: Tensor, scale: Tensor) -> Tensor:
        """Return normal . ray * scale, (B, H, W), for ``normal`` (B, 3) and ``scale`` (B,)."""
        a, b, c = (normal * scale[:, None]).unbind(1)
        columns = a[:, None, None] * self.x
        rows = b[:, None, None] * self.y + (c * self.focal)[:, None, None]
        return columns + rows


def offset(view: View, centre: Tensor) -> Tensor:
    """Return the camera's position relative to ``centre`` (B, 3)."""
    return torch.stack([view.origin - centre[:, 0], -centre[:, 1], -centre[:, 2]], dim=1)


def planes(surfaces: Surfaces, view: View) -> tuple[Tensor, Tensor]:
    """Return d (B, H, W) and the index of the nearest plane; d <= 0 where no plane is met."""

    def plane(n: int) -> Tensor:
        normal = surfaces.rotation[:, n, :, 2]
        height = (offset(view, surfaces.centre[:, n]) * normal).sum(1)
        # Going down towards the plane, normal . ray is negative.
        return view.linear(normal, surfaces.present[:, n] / -height)

    nearest = plane(0)
    index = torch.zeros_like(nearest, dtype=torch.long)
    for n in range(1, surfaces.count):
        d = plane(n)
        closer = d > nearest
        nearest, index = torch.where(closer, d, nearest), torch.where(closer, n, index)
    return nearest, index


def slab(surfaces: Surfaces, n: int, axis: int, view: View) -> tuple[Tensor, Tensor]:
    """Return the lower and upper bound of d between the two faces of ``axis``, (B, H, W) each."""
    normal = surfaces.rotation[:, n, :, axis]
    position = (offset(view, surfaces.centre[:, n]) * normal).sum(1)
    half = surfaces.radius[:, n, axis]
    # -half <= position + q / d <= half for the ray's q = normal . r
    high, low = half - position, -half - position
    high = torch.where(high.abs() < 1e-4, torch.full_like(high, 1e-4), high)
    low = torch.where(low.abs() < 1e-4, torch.full_like(low, -1e-4), low)
    inside = (low < 0) & (high > 0)
    near, far = torch.where(low > 0, low, high), torch.where(low > 0, high, low)
    lower = view.linear(normal, 1 / far)
    upper = view.linear(normal, 1 / near)
    between = inside[:, None, None]
    lower, upper = (
        torch.where(between, torch.maximum(lower, upper), lower),
        torch.where(between, torch.full_like(upper, FAR), upper),
    )
    return lower, upper


def box(surfaces: Surfaces, n: int, view: View) -> Tensor:
    """Return d (B, H, W) where rays enter box ``n``, 0 where they miss it."""
    lower, upper = slab(surfaces, n, 0, view)
    for axis in (1, 2):
        low, high = slab(surfaces, n, axis, view)
        lower, upper = torch.maximum(lower, low), torch.minimum(upper, high)
    return _entry(surfaces, n, lower, upper)


def round_(surfaces: Surfaces, n: int, view: View) -> Tensor:
    """Return d (B, H, W) where rays enter ellipsoid or cylinder ``n``, 0 where they miss it."""
    weight = 1 / surfaces.radius[:, n].square()
    cylinder = surfaces.cylinder[:, n]
    weight = torch.stack([weight[:, 0], weight[:, 1] * ~cylinder, weight[:, 2]], dim=1)
    rotation = surfaces.rotation[:, n]
    quadric = rotation * weight[:, None, :] @ rotation.transpose(1, 2)
    o = offset(view, surfaces.centre[:, n])
    mo = (quadric @ o[:, :, None])[:, :, 0]
    a = (o * mo).sum(1) - 1  # > 0 with the camera outside, if need be of an endless cylinder
    a = torch.where(a.abs() < 1e-3, 1e-3, a)
    # a d^2 + 2 b d + c = 0 with b = o.M.r and c = r.M.r
    b = view.linear(mo, torch.ones_like(a))
    q, f = quadric, view.focal
    xy, xf, yf = 2 * q[:, 0, 1], 2 * q[:, 0, 2] * f, 2 * q[:, 1, 2] * f
    columns = (q[:, 0, 0, None, None] * view.x + xf[:, None, None]) * view.x
    rows = (q[:, 1, 1, None, None] * view.y + yf[:, None, None]) * view.y
    rows = rows + (q[:, 2, 2] * f * f)[:, None, None]
    c = columns + rows + (xy[:, None, None] * view.y) * view.x
    a = a[:, None, None]
    root = b * b - a * c
    hit = root > 0
    root = root.clamp(min=0).sqrt()
    lower = (-b - root) / a
    upper = torch.where(a > 0, (-b + root) / a, FAR)
    low, high = slab(surfaces, n, 1, view)
    capped = cylinder[:, None, None]
    lower = torch.where(capped, torch.maximum(lower, low), lower)
    upper = torch.where(capped, torch.minimum(upper, high), upper)
    return _entry(surfaces, n, lower, torch.where(hit, upper, 0.0))


def card(surfaces: Surfaces, n: int, view: View) -> Tensor:
    """Return d (B, H, W) of card ``n``, 0 where it is missed or cut away."""
    rotation, centre = surfaces.rotation[:, n], surfaces.centre[:, n]
    o = offset(view, centre)
    local = [(o * rotation[:, :, axis]).sum(1) for axis in range(3)]
    height = torch.where(local[2].abs() < 1e-3, torch.full_like(local[2], 1e-3), local[2])
    d = view.linear(rotation[:, :, 2], -1 / height)
    inverse = 1 / d.clamp(min=1e-3)
    u, v = (
        (view.linear(rotation[:, :, axis], 1 / surfaces.radius[:, n, axis]) * inverse)
        + (local[axis] / surfaces.radius[:, n, axis])[:, None, None]
        for axis in (0, 1)
    )
    whole = (u.abs() <= 1) & (v.abs() <= 1) & (d > 1e-3)
    pattern = surfaces.pattern[:, n][:, None, None]
    cut = torch.where(
        pattern == 1,
        (u * 7).sin() > 0.55,
        torch.where(
            pattern == 2,
            torch.maximum((u * 11).sin(), (v * 11).sin()) > 0.8,
            torch.where(
                pattern == 3,
                (u * 9).sin() * (v * 9).sin() > 0.25,
                (u * 8 + 2 * (v * 5).sin()).sin() * (v * 9 + 2 * (u * 6).cos()).sin() > 0.1,
            ),
        ),
    )
    cut = cut | (pattern == 0)
    return torch.where(whole & cut, d, torch.zeros_like(d)) * surfaces.present[:, n, None, None]


def _entry(surfaces: Surfaces, n: int, lower: Tensor, upper: Tensor) -> Tensor:
    hit = (upper >= lower) & (upper > 0) & (upper < FAR / 2)
    return torch.where(hit, upper, torch.zeros_like(upper)) * surfaces.present[:, n, None, None]
