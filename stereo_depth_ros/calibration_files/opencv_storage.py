"""OpenCV FileStorage (YAML, JSON or XML) of cv2.stereoRectify and cv2.stereoCalibrate."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree

import numpy as np

from stereo_depth_ros.baseline import MAX_BASELINE_M
from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    parse_matrix,
    parse_numbers,
    parse_size,
)
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification

_LOG = logging.getLogger(__name__)

_K = (("M1", "M2"), ("K1", "K2"), ("cameraMatrix1", "cameraMatrix2"))
_D = (("D1", "D2"), ("distCoeffs1", "distCoeffs2"))
_MARKS = ("P1", "P2", *(name for names in _K for name in names))
"""Any of these matrices tells the format."""

_MIN_MILLIMETRES = 50.0
"""Baselines from here on are millimetres; below, down to what metres may be, they may be
centimetres as well."""


def _read_content(document: Document) -> dict[Any, Any]:
    if not document.text.lstrip().startswith("<?xml"):
        return document.content
    root = ElementTree.fromstring(document.text.encode())
    return {
        entry.tag: {part.tag: part.text for part in entry} if len(entry) else entry.text
        for entry in root
    }


def _matches(document: Document) -> bool:
    if document.text.lstrip().startswith("<?xml"):
        return "<opencv_storage>" in document.text
    matrices = {key for key, value in document.content.items() if isinstance(value, dict)}
    # The files of a pair may hold the lenses in one and how they stand to each other in the other.
    return not matrices.isdisjoint(_MARKS) or matrices >= {"R", "T"}


def _read(documents: Sequence[Document], size: Size) -> Pair:
    content: dict[Any, Any] = {}
    # stereo_calib writes intrinsics and extrinsics into two files.
    for document in documents:
        content |= _read_content(document)
    path = ",".join(document.path for document in documents)
    size = _read_size(content, size)
    k, d = (next((pair for pair in names if pair[0] in content), names[0]) for names in (_K, _D))
    has_lenses = all(key in content for key in (*k, *d, "R1", "R2"))
    if "P1" not in content or "P2" not in content:
        return _rectify_lenses(content, k, d, size, path)
    calibrations = []
    for side in (0, 1):
        p = parse_matrix(content[("P1", "P2")[side]], 3, 4, ("P1", "P2")[side])
        lens: dict[str, Any] = {}
        if has_lenses:
            lens = {
                "k": parse_matrix(content[k[side]], 3, 3, k[side]),
                "d": tuple(parse_numbers(content[d[side]], None, d[side])),
                "r": parse_matrix(content[("R1", "R2")[side]], 3, 3, ("R1", "R2")[side]),
            }
        calibrations.append(
            Calibration(*size, **{"k": p[:, :3], "r": np.eye(3), **lens}, p=p, source=path)
        )
    left, right = calibrations
    if right.p[0, 0] > 0:
        right.p[:2, 3] *= _find_unit(float(np.linalg.norm(right.p[:2, 3])) / right.p[0, 0], path)
    return left, right


def _rectify_lenses(
    content: dict[Any, Any], k: tuple[str, str], d: tuple[str, str], size: Size, path: str
) -> Pair:
    lenses = [
        Lens(
            size,
            parse_matrix(content[k[side]], 3, 3, k[side]),
            tuple(parse_numbers(content[d[side]], None, d[side])),
            "plumb_bob",
            path,
        )
        for side in (0, 1)
    ]
    translation = np.array(parse_numbers(content["T"], 3, "T"))
    translation *= _find_unit(float(np.linalg.norm(translation)), path)
    rotation = parse_matrix(content["R"], 3, 3, "R")
    return plan_rectification(lenses[0], lenses[1], rotation, translation)


def _read_size(content: dict[Any, Any], size: Size) -> Size:
    for key in ("imageSize", "image_size", "size"):
        if key in content:
            return parse_size(*parse_numbers(content[key], 2, key))
    if "image_width" in content and "image_height" in content:
        return parse_size(content["image_width"], content["image_height"])
    return size


def _find_unit(baseline: float, path: str) -> float:
    """Return what turns ``baseline`` into metres: the unit is that of the calibration board."""
    if not _MIN_MILLIMETRES <= baseline <= 1000 * MAX_BASELINE_M:
        # Metres, or what StereoCamera refuses.
        return 1.0
    _LOG.warning("%s: the baseline of %g is taken for millimetres", path, baseline)
    return 1e-3


FORMAT = Format(
    name="OpenCV FileStorage",
    summary="OpenCV FileStorage with P1, P2 (or M1, D1, M2, D2, R, T: raw), T in m or mm; "
    "also as INTRINSICS,EXTRINSICS",
    files=(1, 2),
    matches=_matches,
    read=_read,
)
