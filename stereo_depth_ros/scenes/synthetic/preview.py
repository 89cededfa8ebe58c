"""A contact sheet of rendered pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.colour_scale import scale_disparity
from stereo_depth_ros.errors import InputError
from stereo_depth_ros.panel import arrange, draw_panel
from stereo_depth_ros.pictures import write_image
from stereo_depth_ros.scenes.synthetic.pairs import ScenePair

_VISIBLE, _HIDDEN = (208, 212, 220), (40, 40, 48)


class Sheet:
    """Collects one row a pair: left, right, disparity and what the right view sees, halved."""

    def __init__(self, path: Path) -> None:
        """``path`` is the picture that `write` makes.

        Raises
        ------
        InputError
            For a name that ends like no picture's.
        """
        if not cv2.haveImageWriter(str(path)):
            raise InputError(f"{path} cannot be written; end its name in .png or .jpg")
        self._path = path
        self._rows: list[list[np.ndarray]] = []

    def add(self, pair: ScenePair) -> None:
        """Add the row of ``pair``."""
        scale = scale_disparity(pair.disparity)
        visible = np.array([_HIDDEN, _VISIBLE], np.uint8)[pair.visible.astype(int)]
        self._rows.append(
            [
                draw_panel(_halve(pair.left), f"{len(self._rows)}: left image"),
                draw_panel(_halve(pair.right), "right image"),
                draw_panel(_halve(scale.paint(pair.disparity)), "true disparity", scale),
                draw_panel(
                    _halve(visible),
                    "visible in",
                    legend={"both images": _VISIBLE, "the left one alone": _HIDDEN},
                ),
            ]
        )

    def write(self) -> None:
        """Write the rows one below the other.

        Raises
        ------
        OSError
            For a file that cannot be written.
        """
        write_image(self._path, arrange(self._rows))


def _halve(picture: np.ndarray) -> np.ndarray:
    return cv2.resize(picture, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
