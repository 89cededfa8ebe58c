"""How far a graph's answers are from those of the network it was made of."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.verdict import Outputs
from stereo_depth_ros.networks.base import StereoNetwork

Prior = tuple[()] | tuple[np.ndarray, np.ndarray]
"""Disparity in px and confidence, (H, W) float32 each, or nothing."""


class Agreement(NamedTuple):
    """Differences over all pixels: the median and the 99.9th percentile of disparity in px.

    ``confidence`` is the mean difference of confidence, 0 to 1.
    """

    median: float
    worst: float
    confidence: float

    def __str__(self) -> str:
        return (
            f"median {self.median:.2g} px, 99.9 % of pixels within {self.worst:.2g} px, "
            f"confidence {self.confidence:.2g} apart on average"
        )


def measure_agreement(
    network: StereoNetwork, path: Path, left: np.ndarray, right: np.ndarray, prior: Prior = ()
) -> Agreement:
    """Compare the graph at ``path``, on the CPU, with ``network`` on one pair, (H, W, 3) uint8."""
    return compare(path, left, right, outputs_of(network, left, right, prior), prior)


def outputs_of(
    network: StereoNetwork, left: np.ndarray, right: np.ndarray, prior: Prior = ()
) -> Outputs:
    """Return what ``network`` itself computes for a pair of (H, W, 3) uint8 images."""
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in (left, right)]
    tensors += [torch.from_numpy(map_)[None, None] for map_ in prior]
    with torch.inference_mode():
        return Outputs(*(output[0, 0].numpy() for output in network(*tensors)))


def compare(
    path: Path, left: np.ndarray, right: np.ndarray, expected: Outputs, prior: Prior = ()
) -> Agreement:
    """Compare what the graph at ``path`` answers on the CPU with ``expected``."""
    engine = OnnxRuntimeEngine(path)
    infer = partial(engine.infer_with_prior if prior else engine.infer, left, right)
    outputs = Outputs(*infer(*prior))
    engine.close()
    difference = np.abs(outputs.disparity - expected.disparity)
    return Agreement(
        float(np.median(difference)),
        float(np.quantile(difference, 0.999)),
        float(np.abs(outputs.confidence - expected.confidence).mean()),
    )
