"""Pairs, depths and engines for tests of the pipeline."""

from __future__ import annotations

import numpy as np
from fakes import TrueEngine

from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings

ALL = set(Output)


def images(camera, seed=0):
    random = np.random.default_rng(seed)
    shape = (2, camera.height, camera.width, 3)
    return random.integers(0, 256, shape, dtype=np.uint8)


def process(engine, camera, wanted=ALL, **settings):
    return StereoPipeline(engine, Settings(**settings)).process(*images(camera), camera, wanted)


def depths(camera, *metres):
    """Depth of the image in equal vertical stripes of ``metres``."""
    return np.repeat(
        np.resize(np.repeat(metres, camera.width // len(metres)), (1, camera.width)),
        camera.height,
        axis=0,
    ).astype(np.float32)


def seeing(camera, depth, confidence=1.0):
    return TrueEngine(camera.disparity(depth), confidence)
