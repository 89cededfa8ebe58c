"""How pairs of datasets are varied: every value is ours."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.training.appearance import change_look, draw_look
from stereo_depth_ros.training.pair import Pair
from stereo_depth_ros.training.reshaping import (
    can_exchange,
    crop,
    erase,
    exchange_views,
    flip_rows,
    resize,
    shift_right_rows,
)

_EXCHANGED, _UPSIDE_DOWN, _STRETCHED, _SHIFTED, _ERASED = 0.5, 0.1, 0.8, 0.5, 0.5  # shares of pairs
_APART = 0.2  # share of the pairs whose views differ in colour, as those of two cameras
_MAX_SHIFT = 1.0  # px
_BOX = (50, 100)  # px, sides of what is erased, a quarter of the crop's at most


def augment(pair: Pair, size: tuple[int, int], random: np.random.Generator) -> Pair:
    """Return a variation of ``pair`` of ``size`` (height, width) px.

    Raises
    ------
    InputError
        For a pair of no more than a few pixels.
    """
    if min(pair.size) < 8:
        raise InputError(f"a pair of {pair.size[0]}x{pair.size[1]} px is too small to train on")
    if random.uniform() < _EXCHANGED and can_exchange(pair):
        pair = exchange_views(pair)
    if random.uniform() < _UPSIDE_DOWN:
        pair = flip_rows(pair)
    pair = resize(pair, _draw_size(pair.size, size, random))
    top, left = (
        int(random.integers(whole - part + 1)) for whole, part in zip(pair.size, size, strict=True)
    )
    pair = crop(pair, top, left, size)
    if random.uniform() < _SHIFTED:
        pair = shift_right_rows(pair, random.uniform(-_MAX_SHIFT, _MAX_SHIFT))
    look = draw_look(random)
    other = draw_look(random) if random.uniform() < _APART else look
    pair = replace(
        pair,
        left=change_look(pair.left, look, random),
        right=change_look(pair.right, other, random),
    )
    if random.uniform() < _ERASED:
        pair = erase(pair, [_draw_box(size, random) for _ in range(random.integers(1, 3))])
    return pair


def _draw_size(
    whole: tuple[int, int], least: tuple[int, int], random: np.random.Generator
) -> tuple[int, int]:
    """Draw the size that a pair is scaled to, no smaller than the crop."""
    scale = random.uniform(-0.2, 0.4)
    stretch = random.uniform(-0.2, 0.2, 2) * (random.uniform() < _STRETCHED)
    drawn = np.rint(whole * np.exp2(scale + stretch)).astype(int)
    height, width = np.maximum(drawn, least).tolist()
    return height, width


def _draw_box(size: tuple[int, int], random: np.random.Generator) -> tuple[int, int, int, int]:
    height, width = (min(int(random.integers(*_BOX)), max(1, whole // 4)) for whole in size)
    return (
        int(random.integers(size[0] - height + 1)),
        int(random.integers(size[1] - width + 1)),
        height,
        width,
    )
