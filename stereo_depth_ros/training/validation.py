"""Figures and a picture of rendered pairs that training never sees."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from stereo_depth_ros.colour_scale import CONFIDENCE, scale_disparity
from stereo_depth_ros.networks.base import StereoNetwork, StereoOutput
from stereo_depth_ros.training.batch import Batch
from stereo_depth_ros.training.stream import SceneStream

_PAIRS = 12
_SEED = 2**31  # far from every training seed


class Validation:
    """The same pairs at every call, ``size`` (height, width) px; see `Objective.prior_span`."""

    def __init__(self, size: tuple[int, int], device: torch.device, prior_span: int) -> None:
        stream = SceneStream(
            scene=size, crop=size, batch=1, seed=_SEED, padded=0, unaided=0, prior_span=prior_span
        )
        # Drawn on the CPU, so that they are the same on every machine.
        self._samples = [stream.next().to(device) for _ in range(_PAIRS)]

    @torch.inference_mode()
    def figures(self, network: StereoNetwork) -> dict[str, float]:
        """Return EPE (px) and bad-2 (%) over all pixels, means over the pairs."""
        errors = [
            (_match(network, sample).disparity - sample.disparity).abs() for sample in self._samples
        ]
        return {
            "epe": float(torch.stack([e.mean() for e in errors]).mean()),
            "bad2": 100 * float(torch.stack([(e > 2).float().mean() for e in errors]).mean()),
        }

    @torch.inference_mode()
    def picture(self, network: StereoNetwork) -> np.ndarray:
        """Return left image, truth, disparity and confidence of four pairs, (3, H, W) uint8."""
        rows = []
        for sample in self._samples[:4]:
            disparity, confidence = _match(network, sample)
            truth = sample.disparity[0, 0].cpu().numpy()
            scale = scale_disparity(truth)
            left = sample.left[0].permute(1, 2, 0).byte().cpu().numpy()
            maps = [
                scale.paint(truth),
                scale.paint(disparity[0, 0].cpu().numpy()),
                CONFIDENCE.paint(confidence[0, 0].cpu().numpy()),
            ]
            rows.append(np.hstack([left, *maps]))
        sheet = cv2.resize(np.vstack(rows), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
        return sheet.transpose(2, 0, 1)


def _match(network: StereoNetwork, sample: Batch) -> StereoOutput:
    return network(*sample.inputs_of(network))
