"""Deterministic weights and images behind the parity fixtures, from names and shapes alone.

The values are fixed for good: every recorded fixture depends on them.
"""

from __future__ import annotations

import zlib

import numpy as np


def _rng(key: str, seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(zlib.crc32(key.encode()) + (seed << 32)))


def fill_one(key: str, shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Return the float32 values of one state-dict entry, from its name and shape."""
    rng = _rng(key, seed)
    shape = tuple(int(n) for n in shape)
    leaf = key.rsplit(".", 1)[-1]
    if leaf == "num_batches_tracked":
        return np.zeros(shape, np.int64)
    if leaf == "running_var":
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf == "running_mean":
        return (0.1 * rng.standard_normal(shape)).astype(np.float32)
    if leaf.startswith("gamma"):
        return rng.uniform(0.1, 0.5, shape).astype(np.float32)
    if len(shape) <= 1:
        if leaf == "bias":
            return (0.05 * rng.standard_normal(shape)).astype(np.float32)
        return rng.uniform(0.5, 1.5, shape).astype(np.float32)
    if leaf in ("weight", "in_proj_weight"):
        fan_in = int(np.prod(shape[1:]))
        return (rng.standard_normal(shape) / np.sqrt(fan_in)).astype(np.float32)
    return (0.1 * rng.standard_normal(shape)).astype(np.float32)


def fill(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> dict[str, np.ndarray]:
    """Return values for every entry of ``shapes`` (state-dict key to shape)."""
    return {key: fill_one(key, shape, seed) for key, shape in shapes.items()}


def stereo_pair(height: int, width: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return a textured left/right pair (uint8, (height, width, 3)) with a smooth shift.

    The right view samples the left texture at ``x + d(x, y)``, with d between
    2 and 14 pixels, so that a matcher has something real to find.
    """
    rng = _rng("stereo_pair", seed)
    margin = 32
    layers = []
    for cell in (2, 5, 13):
        gh, gw = height // cell + 2, (width + margin) // cell + 2
        coarse = rng.uniform(0, 255, (gh, gw, 3))
        ys = np.arange(height) / cell
        xs = np.arange(width + margin) / cell
        y0, x0 = ys.astype(int), xs.astype(int)
        fy, fx = (ys - y0)[:, None, None], (xs - x0)[None, :, None]
        top = coarse[y0][:, x0] * (1 - fx) + coarse[y0][:, x0 + 1] * fx
        bottom = coarse[y0 + 1][:, x0] * (1 - fx) + coarse[y0 + 1][:, x0 + 1] * fx
        layers.append(top * (1 - fy) + bottom * fy)
    texture = sum(layers) / len(layers)
    yy, xx = np.mgrid[0:height, 0:width].astype(np.float64)
    disparity = 8.0 + 6.0 * np.sin(2 * np.pi * yy / height) * np.cos(2 * np.pi * xx / width)
    left = texture[:, :width]
    position = xx + disparity
    base = np.floor(position).astype(int)
    frac = (position - base)[..., None]
    rows = np.arange(height)[:, None]
    right = texture[rows, base] * (1 - frac) + texture[rows, base + 1] * frac
    return left.round().astype(np.uint8), right.round().astype(np.uint8)
