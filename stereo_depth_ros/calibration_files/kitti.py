"""KITTI ``calib.txt`` and ``calib_cam_to_cam.txt``: projections relative to camera 0."""

from __future__ import annotations

import re
from collections.abc import Sequence

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    make_pinhole_pair,
    parse_matrix,
    parse_numbers,
    parse_size,
)

_CAMERAS = (
    ("P2", "P3", ""),
    ("P_rect_02", "P_rect_03", "S_rect_02"),
    ("P0", "P1", ""),
    ("P_rect_00", "P_rect_01", "S_rect_00"),
)
"""Keys of left P, right P and image size; the colour cameras first."""


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    lines = (line.split(":", 1) for line in document.text.splitlines() if ":" in line)
    fields = {key.strip(): value for key, value in lines}
    left_key, right_key, size_key = next(keys for keys in _CAMERAS if keys[0] in fields)
    left = parse_matrix(fields[left_key], 3, 4, left_key)
    right = parse_matrix(fields[right_key], 3, 4, right_key)
    if size_key in fields:
        size = parse_size(*parse_numbers(fields[size_key], 2, size_key))
    if left[0, 0] <= 0:
        raise ValueError(f"{left_key} has the focal length {left[0, 0]:g} px")
    return make_pinhole_pair(
        document.path,
        size,
        left[:, :3],
        right[:, :3],
        # Both have a translation, as both are relative to camera 0.
        baseline=(left[0, 3] - right[0, 3]) / left[0, 0],
    )


FORMAT = Format(
    name="KITTI calib.txt",
    summary="KITTI calib.txt or calib_cam_to_cam.txt (P2 P3, P_rect_02 P_rect_03, else P0 P1)",
    files=(1,),
    matches=lambda document: bool(
        re.search(r"^P(0|2|_rect_00|_rect_02):\s*[-+.\d]", document.text, re.MULTILINE)
    ),
    read=_read,
)
