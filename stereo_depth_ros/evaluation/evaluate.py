"""Run models over a dataset and collect what they score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine
from stereo_depth_ros.evaluation.datasets import DatasetError, Sample
from stereo_depth_ros.evaluation.metrics import (
    Accuracy,
    Sparsification,
    accuracy,
    sparsification,
)
from stereo_depth_ros.pipeline import StereoPipeline


@dataclass(frozen=True)
class Score:
    """What one model scored on one sample.

    ``filled`` counts the engine's answer for every pixel, ``raw`` only what it vouches for
    (confidence above 0); the ``_nonocc`` pair is over pixels seen in both views, None without a
    mask. ``milliseconds`` is the time of this one inference.
    """

    model: str
    sample: str
    filled: Accuracy
    raw: Accuracy
    filled_nonocc: Accuracy | None
    raw_nonocc: Accuracy | None
    confidence: Sparsification
    milliseconds: float


BESIDE = ("sgbm", "sgbm_hh")
"""The models that every other is scored beside."""

Viewer = Callable[[Sample, str, np.ndarray, np.ndarray, np.ndarray], None]
"""Called with sample, model, disparity, confidence and truth, (H, W) each, for pictures."""


def evaluate(
    engines: Mapping[str, Engine], samples: Iterable[Sample], viewer: Viewer | None = None
) -> list[Score]:
    """Score every engine, by the name it shall have, on every sample, sample by sample.

    Raises
    ------
    DatasetError
        When the sizes of images and truth differ.
    """
    scores = []
    for sample in samples:
        left, right = sample.images()
        truth = sample.truth()
        nonocc = sample.nonocc() if sample.nonocc else None
        if left.shape != right.shape or left.shape[:2] != truth.shape:
            raise DatasetError(
                f"{sample.name}: left is {left.shape[:2]}, right {right.shape[:2]} and truth "
                f"{truth.shape}; they must have one size"
            )
        camera = StereoCamera.uncalibrated(left.shape[1], left.shape[0])
        for name, engine in engines.items():
            result = StereoPipeline(engine).process(left, right, camera, ())
            disparity, confidence = result.matched, result.certainty
            raw = np.where(result.known, disparity, np.float32(np.nan))
            scores.append(
                Score(
                    model=name,
                    sample=sample.name,
                    filled=accuracy(disparity, truth),
                    raw=accuracy(raw, truth),
                    filled_nonocc=None if nonocc is None else accuracy(disparity, truth, nonocc),
                    raw_nonocc=None if nonocc is None else accuracy(raw, truth, nonocc),
                    confidence=sparsification(disparity, confidence, truth),
                    milliseconds=1e3 * result.seconds["inference"],
                )
            )
            if viewer is not None:
                viewer(sample, name, disparity, confidence, truth)
    return scores
