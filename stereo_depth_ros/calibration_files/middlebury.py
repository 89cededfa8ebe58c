"""Middlebury and ETH3D ``calib.txt``: cam0, cam1 and the baseline in mm."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    make_pinhole_pair,
    parse_matrix,
    parse_number,
    parse_size,
)


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    lines = (line.split("=", 1) for line in document.text.splitlines() if "=" in line)
    fields = {key.strip(): value.strip() for key, value in lines}

    def camera(key: str) -> np.ndarray:
        return parse_matrix(fields[key].strip("[]").replace(";", " "), 3, 3, key)

    left, right = camera("cam0"), camera("cam1")
    if "width" in fields and "height" in fields:
        size = parse_size(fields["width"], fields["height"])
    return make_pinhole_pair(
        document.path,
        size,
        left,
        right,
        baseline=parse_number(fields["baseline"], "baseline") / 1000.0,
    )


FORMAT = Format(
    name="Middlebury calib.txt",
    summary="Middlebury or ETH3D calib.txt (cam0, cam1, baseline in mm)",
    files=(1,),
    matches=lambda document: bool(re.search(r"^\s*cam0\s*=", document.text, re.MULTILINE)),
    read=_read,
)
