"""RealSense intrinsics and extrinsics as JSON or YAML, in the field names of librealsense."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    make_matrix,
    make_pinhole_pair,
    parse_number,
    parse_numbers,
    parse_size,
)

_LEFT = r"left|infra(red)?[_ ]?1|ir[_ ]?1"
_RIGHT = r"right|infra(red)?[_ ]?2|ir[_ ]?2"
_OTHER = r"colou?r|rgb|depth|imu|gyro|accel|fisheye|pose"
"""Streams whose place says nothing of the distance between the two views."""


def _walk_mappings(
    root: dict[Any, Any],
) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield every mapping once, with the keys that lead to it joined by dots."""
    ahead, seen = [("", root)], set()
    while ahead:
        path, mapping = ahead.pop()
        # YAML can name one mapping many times over, even within itself.
        if id(mapping) in seen:
            continue
        seen.add(id(mapping))
        yield path, mapping
        ahead += [
            (f"{path}.{str(key)[:40].lower()}"[-200:], entry)
            for key, entry in mapping.items()
            if isinstance(entry, dict)
        ]


def _find_intrinsics(document: Document, side: str) -> dict[Any, Any] | None:
    return next(
        (
            mapping
            for path, mapping in _walk_mappings(document.content)
            if "ppx" in mapping and re.search(side, path)
        ),
        None,
    )


def _matches(document: Document) -> bool:
    return "ppx" in document.text and _find_intrinsics(document, _LEFT) is not None


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    left, right = _find_intrinsics(document, _LEFT), _find_intrinsics(document, _RIGHT)
    if left is None or right is None:
        raise ValueError("no intrinsics (fx, ppx, ...) under infra1 and infra2, or left and right")
    for name, view in (("left", left), ("right", right)):
        if any(parse_numbers(view.get("coeffs", []), None, f"coeffs of {name}")):
            raise ValueError(
                f"coeffs of {name} are not zero: these are raw images; save those of the "
                "rectified streams, infrared 1 and 2 as Y8"
            )

    return make_pinhole_pair(
        document.path,
        parse_size(left["width"], left["height"]),
        _read_matrix(left),
        _read_matrix(right),
        _find_baseline(document),
    )


def _read_matrix(view: dict[Any, Any]) -> np.ndarray:
    return make_matrix(*(parse_number(view[key], key) for key in ("fx", "fy", "ppx", "ppy")))


def _find_baseline(document: Document) -> float:
    """Return the distance of the two in metres, 0 where the file says none for sure."""
    candidates = []
    for path, mapping in _walk_mappings(document.content):
        for key, unit in (("baseline_m", 1.0), ("baseline_mm", 1e-3), ("baseline", 1.0)):
            if key in mapping:
                return abs(parse_number(mapping[key], key)) * unit
        if "translation" in mapping:
            shift = np.array(parse_numbers(mapping["translation"], 3, "translation"))
            candidates.append((path, float(np.linalg.norm(shift))))
    between = [b for path, b in candidates if re.search(_LEFT, path) and re.search(_RIGHT, path)]
    if len(between) == 1:
        return between[0]
    # A lone translation is that of the pair where nothing says that it is another's.
    if len(candidates) == 1 and not re.search(f"{_LEFT}|{_RIGHT}|{_OTHER}", candidates[0][0]):
        return candidates[0][1]
    return 0.0


FORMAT = Format(
    name="RealSense JSON",
    summary="RealSense JSON: intrinsics (fx, fy, ppx, ppy, width, height) under infra1 and infra2, "
    "translation (m) between them",
    files=(1,),
    matches=_matches,
    read=_read,
)
