"""Where rays meet surfaces, in NumPy float64 and world lengths, to compare the renderer with.

A ray is o + t r for o = (origin, 0, 0) and r = (x, y, focal), so a hit at t has disparity 1 / t.
"""

from __future__ import annotations

import numpy as np


def local_rays(surfaces, b, n, focal, x, y, origin):
    """Return origin and direction of the rays in the frame of surface ``n`` of scene ``b``."""
    rotation = surfaces.rotation[b, n].double().numpy()
    centre = surfaces.centre[b, n].double().numpy()
    x, y = np.broadcast_arrays(np.asarray(x, float), np.asarray(y, float))
    ray = np.stack([x, y, np.full(x.shape, float(focal))], axis=-1)
    return (np.array([origin, 0.0, 0.0]) - centre) @ rotation, ray @ rotation


def hit_plane(o, r, radius, cylinder):
    """Local z = 0, met from above."""
    with np.errstate(divide="ignore"):
        t = -o[2] / r[..., 2]
    return np.where((t > 0) & (o[2] > 0), t, np.inf)


def hit_box(o, r, radius, cylinder):
    """The largest of the three entries, where it comes before the smallest of the exits."""
    with np.errstate(divide="ignore"):
        faces = np.stack([(-radius - o) / r, (radius - o) / r])
    enter, leave = faces.min(axis=0).max(axis=-1), faces.max(axis=0).min(axis=-1)
    return np.where((enter <= leave) & (enter > 0), enter, np.inf)


def hit_round(o, r, radius, cylinder):
    """An ellipsoid; or the wall of a cylinder along y and its two caps, whichever comes first."""
    on = np.array([1.0, 0.0, 1.0]) if cylinder else np.ones(3)
    p, q = o / radius * on, r / radius * on
    a, b, c = (q * q).sum(-1), (p * q).sum(-1), (p * p).sum() - 1
    with np.errstate(invalid="ignore", divide="ignore"):
        t = (-b - np.sqrt(b * b - a * c)) / a
        t = np.where(t > 0, t, np.inf)
        if not cylinder:
            return t
        hits = [np.where(np.abs(o[1] + t * r[..., 1]) <= radius[1], t, np.inf)]
        for end in (-radius[1], radius[1]):
            t = (end - o[1]) / r[..., 1]
            inside = (((o + t[..., None] * r) / radius * on) ** 2).sum(-1) <= 1
            hits.append(np.where(inside & (t > 0), t, np.inf))
    return np.min(hits, axis=0)


def hit_card(o, r, radius, cylinder):
    """A whole rectangle in local z = 0, met from either side."""
    with np.errstate(divide="ignore", invalid="ignore"):
        t = -o[2] / r[..., 2]
        at = np.abs(o + t[..., None] * r) / radius
    return np.where((at[..., 0] <= 1) & (at[..., 1] <= 1) & (t > 0), t, np.inf)


HITS = {"plane": hit_plane, "box": hit_box, "round": hit_round, "card": hit_card}


def disparity_of(kind, surfaces, b, n, focal, x, y, origin):
    """Return the disparity (px, 0 for a miss) at which rays at offsets x, y meet a surface."""
    if not surfaces.present[b, n]:
        return np.zeros(np.broadcast_shapes(np.shape(x), np.shape(y)))
    o, r = local_rays(surfaces, b, n, focal, x, y, origin)
    radius = surfaces.radius[b, n].double().numpy()
    return 1 / HITS[kind](o, r, radius, bool(surfaces.cylinder[b, n]))


def first_hit(scenes, b, x, y, origin):
    """Return the disparity of the nearest surface of a whole scene; cards must be uncut."""
    parts = (
        ("plane", scenes.planes),
        ("box", scenes.boxes),
        ("round", scenes.rounds),
        ("card", scenes.cards),
        ("card", scenes.panes),
    )
    focal = float(scenes.focal[b])
    return np.max(
        [
            disparity_of(kind, surfaces, b, n, focal, x, y, origin)
            for kind, surfaces in parts
            for n in range(surfaces.count)
        ],
        axis=0,
    )
