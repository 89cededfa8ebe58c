"""The pictures of one match, each with what its colours mean, and an overview of all."""

from __future__ import annotations

import cv2
import numpy as np

from stereo_depth_ros.cloud_view import draw_cloud
from stereo_depth_ros.colour_scale import CONFIDENCE, UNKNOWN, scale_depth, scale_disparity
from stereo_depth_ros.panel import Colour, arrange, draw_panel

_COLUMN = 480
"""Width in px of one picture of the overview, half of that of the cloud."""

_MIN_ROWS = 320
"""Height of the cloud's picture, where the images are very wide."""

_TOO_FAR, _TOO_NEAR = (16, 16, 24), (255, 255, 255)


def draw_result(
    image: np.ndarray,
    disparity: np.ndarray,
    confidence: np.ndarray,
    depth: np.ndarray | None = None,
    points: np.ndarray | None = None,
    width: int | None = None,
) -> dict[str, np.ndarray]:
    """Return captioned pictures by name, (…, …, 3) uint8 RGB each.

    Parameters
    ----------
    image
        Left view, (H, W, 3) uint8 RGB.
    disparity
        (H, W) float32 px.
    confidence
        (H, W) float32, 0 or NaN where the disparity is unknown.
    depth, points
        (H, W) and (H, W, 3) float32 m; without them there is no picture of either.
    width
        In px, to which the maps are brought before they are drawn; by default they keep theirs.

    Returns
    -------
    dict
        ``disparity``, ``confidence`` and, where there is depth, ``depth`` and ``cloud``.
    """
    known = confidence > 0
    shown = np.where(known, disparity, np.float32(np.nan))
    scale = scale_disparity(shown)
    panels = {
        "disparity": draw_panel(
            _resize(scale.paint(shown), width),
            "disparity: red is near, blue is far",
            scale,
            _name_unknown(~known),
        ),
    }
    if depth is not None and points is not None:
        panels["depth"] = _draw_depth(depth, width)
    panels["confidence"] = draw_panel(
        _resize(CONFIDENCE.paint(confidence, known), width),
        "confidence: 1 is certain",
        CONFIDENCE,
        _name_unknown(~known),
    )
    if points is not None:
        rows = max(_MIN_ROWS, round(_COLUMN * image.shape[0] / image.shape[1]))
        view = draw_cloud(points, image, (rows, 2 * _COLUMN))
        caption = "point cloud, seen from above and beside the camera"
        panels["cloud"] = draw_panel(view, caption, columns=2)
    return panels


def draw_overview(
    image: np.ndarray,
    disparity: np.ndarray,
    confidence: np.ndarray,
    depth: np.ndarray | None = None,
    points: np.ndarray | None = None,
) -> np.ndarray:
    """Return left view and pictures of `draw_result`, of its arguments, as one 1460 px wide."""
    left = draw_panel(_resize(image, _COLUMN), "left image")
    panels = draw_result(image, disparity, confidence, depth, points, _COLUMN)
    if "cloud" not in panels:
        return arrange([[left, *panels.values()]])
    first = [left, panels["disparity"], panels["depth"]]
    return arrange([first, [panels["confidence"], panels["cloud"]]])


def _draw_depth(depth: np.ndarray, width: int | None) -> np.ndarray:
    scale = scale_depth(depth)
    picture = scale.paint(depth)
    legend = _name_unknown(np.isnan(depth))
    for name, beyond, colour in (
        ("too far", np.isposinf(depth), _TOO_FAR),
        ("too near", np.isneginf(depth), _TOO_NEAR),
    ):
        if beyond.any():
            picture[beyond] = colour
            legend[name] = colour
    return draw_panel(_resize(picture, width), "depth: yellow is near, blue is far", scale, legend)


def _name_unknown(unknown: np.ndarray) -> dict[str, Colour]:
    return {"unknown": UNKNOWN} if unknown.any() else {}


def _resize(picture: np.ndarray, width: int | None) -> np.ndarray:
    if width is None or width == picture.shape[1]:
        return picture
    height = max(1, round(picture.shape[0] * width / picture.shape[1]))
    way = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_NEAREST
    return cv2.resize(picture, (width, height), interpolation=way)
