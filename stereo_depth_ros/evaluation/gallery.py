"""The pictures of an evaluation, small enough to stand in its page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field

import cv2
import numpy as np

from stereo_depth_ros.colour_scale import CONFIDENCE, ColourScale, scale_disparity
from stereo_depth_ros.evaluation.sample import Sample

ERROR = ColourScale(0.0, 4.0, "px", cv2.COLORMAP_INFERNO)
"""Of absolute errors; what is off by more is as bright as 4 px."""

_WIDTH = 384


@dataclass
class PairPictures:
    """Pictures of one pair as URLs: those that all models share, and by model its own by name."""

    scale: ColourScale
    left: str
    truth: str
    models: dict[str, dict[str, str]] = field(default_factory=dict)


class Gallery:
    """Draws each score as it comes; its call is a `Viewer`. ``pairs`` holds them by sample."""

    def __init__(self) -> None:
        self.pairs: dict[str, PairPictures] = {}

    def __call__(
        self,
        sample: Sample,
        model: str,
        disparity: np.ndarray,
        confidence: np.ndarray,
        truth: np.ndarray,
    ) -> None:
        """Draw disparity, error and confidence of one score, and what its pair shares once."""
        if sample.name not in self.pairs:
            scale = scale_disparity(truth)
            left = embed(sample.images()[0])
            self.pairs[sample.name] = PairPictures(scale, left, embed(scale.paint(truth)))
        pair = self.pairs[sample.name]
        pair.models[model] = {
            "disparity": embed(pair.scale.paint(disparity)),
            "error": embed(ERROR.paint(np.abs(disparity - truth))),
            "confidence": embed(CONFIDENCE.paint(confidence, confidence > 0)),
        }


def embed(picture: np.ndarray) -> str:
    """Return ``picture`` (H, W, 3) uint8 RGB as a URL that holds it, at most 384 px wide."""
    width = min(_WIDTH, picture.shape[1])
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    small = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", small[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])
    return "data:image/jpeg;base64," + base64.b64encode(data.tobytes()).decode("ascii")
