"""A contact sheet of rendered pairs."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.pictures import colour_confidence, colour_disparity, write_image
from stereo_depth_ros.scenes.synthetic.pairs import ScenePair


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
        self._rows: list[np.ndarray] = []

    def add(self, pair: ScenePair) -> None:
        """Add the row of ``pair``."""
        maps = [colour_disparity(pair.disparity), colour_confidence(pair.visible)]
        row = np.hstack([pair.left, pair.right, *maps])
        self._rows.append(cv2.resize(row, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))

    def write(self) -> None:
        """Write the rows one below the other.

        Raises
        ------
        OSError
            For a file that cannot be written.
        """
        write_image(self._path, np.vstack(self._rows))
