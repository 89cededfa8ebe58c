"""The source of batches that a recipe names."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Executor
from functools import cache
from pathlib import Path

import torch

from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.scenes.synthetic.textures import photographs
from stereo_depth_ros.training.data import DataPart, parse_data
from stereo_depth_ros.training.pair_stream import PairStream
from stereo_depth_ros.training.recipe import Recipe
from stereo_depth_ros.training.source import Mixture, Source
from stereo_depth_ros.training.stream import SceneStream
from stereo_depth_ros.training.workers import start_workers


def open_source(
    recipe: Recipe, prior_span: int, share: tuple[int, int], device: torch.device
) -> Source:
    """Return what process ``share`` (which, of how many) learns from.

    Raises
    ------
    InputError
        For a folder without photographs or without pairs, or a crop that does not fit into the
        scenes.
    """
    # One for all datasets; it starts none before there is work.
    workers = cache(lambda: start_workers(0 if device.type == "cpu" else os.cpu_count() or 1))
    parts = [parse_data(text) for text in recipe.data]
    sources = [
        _open_part(part, recipe.seed + index, recipe, prior_span, share, device, workers)
        for index, part in enumerate(parts)
    ]
    return sources[0] if len(sources) == 1 else Mixture(sources, [part.weight for part in parts])


def _open_part(
    part: DataPart,
    seed: int,
    recipe: Recipe,
    prior_span: int,
    share: tuple[int, int],
    device: torch.device,
    workers: Callable[[], Executor],
) -> Source:
    if part.folder is None:
        return SceneStream(
            scene=recipe.scene,
            crop=recipe.crop,
            batch=recipe.batch,
            reuse=recipe.reuse,
            seed=seed + 1 + 1000 * share[0],  # on every process others
            photos=photographs(Path(recipe.photos)) if recipe.photos else [],
            prior_span=prior_span,
            device=device,
        )
    return PairStream(
        read_dataset(part.folder, part.layout),
        crop=recipe.crop,
        batch=recipe.batch,
        seed=seed,
        prior_span=prior_span,
        workers=workers(),
        share=share,
        device=device,
    )
