"""Run models over a dataset and collect what they score."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine
from stereo_depth_ros.evaluation.metrics import (
    Accuracy,
    Share,
    Sparsification,
    accuracy,
    measure_missed,
    measure_near_sky,
    sparsification,
)
from stereo_depth_ros.evaluation.sample import Sample
from stereo_depth_ros.evaluation.thin import thin_structures
from stereo_depth_ros.evaluation.truth_files import DatasetError
from stereo_depth_ros.pipeline import StereoPipeline


@dataclass(frozen=True)
class Score:
    """What one model scored on one sample.

    Attributes
    ----------
    model, sample
        Their names.
    filled, filled_nonocc
        Of the engine's answer for every pixel; over pixels seen in both views, None without a mask.
    raw, raw_nonocc
        The same of what it vouches for alone (confidence above 0).
    confidence
        How well that orders the errors.
    sky, thin
        How much of the sky is claimed to be near, and of thin structures missed, of every answer;
        None where the sample has none.
    milliseconds
        Time of this one inference.
    """

    model: str
    sample: str
    filled: Accuracy
    raw: Accuracy
    filled_nonocc: Accuracy | None
    raw_nonocc: Accuracy | None
    confidence: Sparsification
    sky: Share | None
    thin: Share | None
    milliseconds: float


BESIDE = ("sgbm", "sgbm_hh")
"""The models that every other is scored beside."""

Viewer = Callable[[Sample, str, np.ndarray, np.ndarray, np.ndarray], None]
"""Called with sample, model, disparity, confidence and truth, (H, W) each, for pictures."""


def evaluate(
    engines: Mapping[str, Engine], samples: Iterable[Sample], viewer: Viewer | None = None
) -> list[Score]:
    """Score every engine on every sample, sample by sample.

    Parameters
    ----------
    engines
        By the name that each shall have.
    samples
        Pairs with truth.
    viewer
        Called for every score, to make pictures.

    Returns
    -------
    list of Score
        By sample, then by engine.

    Raises
    ------
    DatasetError
        When the sizes of images, truth and masks differ.
    """
    scores = []
    for sample in samples:
        left, right = sample.images()
        truth = sample.truth()
        nonocc = sample.nonocc() if sample.nonocc else None
        sky = sample.sky() if sample.sky else None
        _check_sizes(sample.name, left=left, right=right, truth=truth, nonocc=nonocc, sky=sky)
        thin = thin_structures(_with_sky(truth, sky))
        camera = StereoCamera.without_calibration(left.shape[1], left.shape[0])
        for name, engine in engines.items():
            match = StereoPipeline(engine).match(left, right, camera)
            disparity, confidence = match.disparity, match.confidence
            raw = np.where(match.valid, disparity, np.float32(np.nan))
            scores.append(
                Score(
                    model=name,
                    sample=sample.name,
                    filled=accuracy(disparity, truth),
                    raw=accuracy(raw, truth),
                    filled_nonocc=None if nonocc is None else accuracy(disparity, truth, nonocc),
                    raw_nonocc=None if nonocc is None else accuracy(raw, truth, nonocc),
                    confidence=sparsification(disparity, confidence, truth),
                    sky=None if sky is None else measure_near_sky(disparity, confidence, sky),
                    thin=measure_missed(disparity, truth, thin),
                    milliseconds=1e3 * match.seconds["inference"],
                )
            )
            if viewer is not None:
                viewer(sample, name, disparity, confidence, truth)
    return scores


def _check_sizes(name: str, **images: np.ndarray | None) -> None:
    sizes = {what: image.shape[:2] for what, image in images.items() if image is not None}
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{what} {height}x{width}" for what, (height, width) in sizes.items())
        raise DatasetError(f"{name}: {listed}; they must have one size")


def _with_sky(truth: np.ndarray, sky: np.ndarray | None) -> np.ndarray:
    """Return ``truth`` with the disparity 0 of the ``sky`` where real pairs have no truth in it."""
    if sky is None:
        return truth
    return np.where(sky & ~np.isfinite(truth), np.float32(0), truth)
