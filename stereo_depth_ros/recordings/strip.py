"""The picture of one pair in the report: what the camera saw, and what became of it."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.panel import arrange, draw_panel
from stereo_depth_ros.pictures import write_image
from stereo_depth_ros.result_pictures import draw_result
from stereo_depth_ros.stereo_match import StereoMatch

COLUMN = 360
"""Width in px of one of its pictures."""


def write_strip(path: Path, match: StereoMatch, is_metric: bool) -> None:
    """Write left view, depth (without calibration disparity) and confidence, side by side.

    Raises
    ------
    WriteError
        When ``path`` cannot be written.
    """
    height, width = match.disparity.shape
    size = COLUMN, max(1, round(height * COLUMN / width))
    left = draw_panel(cv2.resize(match.image, size, interpolation=cv2.INTER_AREA), "left image")
    confidence = np.where(match.valid, match.confidence, np.float32(0))
    depth = match.depth if is_metric else None
    panels = draw_result(match.image, match.disparity, confidence, depth, width=COLUMN)
    shown = panels["depth" if is_metric else "disparity"]
    write_image(path, arrange([[left, shown, panels["confidence"]]]))
