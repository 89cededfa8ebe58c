"""How far a graph's answers are from those of the network it was made of."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.verdict import Outputs
from stereo_depth_ros.networks.base import StereoNetwork


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
    network: StereoNetwork, path: Path, left: np.ndarray, right: np.ndarray
) -> Agreement:
    """Compare the graph at ``path``, on the CPU, with ``network`` on one pair, (H, W, 3) uint8."""
    return compare(path, left, right, outputs_of(network, left, right))


def outputs_of(network: StereoNetwork, left: np.ndarray, right: np.ndarray) -> Outputs:
    """Return what ``network`` itself computes for a pair of (H, W, 3) uint8 images."""
    tensors = [torch.from_numpy(image).permute(2, 0, 1)[None].float() for image in (left, right)]
    with torch.inference_mode():
        return Outputs(*(output[0, 0].numpy() for output in network(*tensors)))


def compare(path: Path, left: np.ndarray, right: np.ndarray, expected: Outputs) -> Agreement:
    """Compare what the graph at ``path`` answers on the CPU with ``expected``."""
    engine = OnnxRuntimeEngine(path)
    outputs = Outputs(*engine.infer(left, right))
    engine.close()
    difference = np.abs(outputs.disparity - expected.disparity)
    return Agreement(
        float(np.median(difference)),
        float(np.quantile(difference, 0.999)),
        float(np.abs(outputs.confidence - expected.confidence).mean()),
    )
