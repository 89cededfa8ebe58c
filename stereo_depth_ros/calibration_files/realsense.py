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
    number,
    numbers,
    pinhole_pair,
)

_MAX_DEPTH = 5
_LEFT = r"left|infra(red)?_?1|ir_?1"
_RIGHT = r"right|infra(red)?_?2|ir_?2"


def _mappings(
    value: Any, path: str = "", seen: frozenset[int] = frozenset()
) -> Iterator[tuple[str, dict[Any, Any]]]:
    """Yield every mapping with its keys so far joined by dots."""
    if not isinstance(value, dict) or len(seen) > _MAX_DEPTH:
        return
    yield path, value
    for key, entry in value.items():
        yield from _mappings(entry, f"{path}.{str(key)[:40].lower()}", seen | {id(value)})


def _intrinsics(document: Document, side: str) -> dict[Any, Any] | None:
    return next(
        (
            mapping
            for path, mapping in _mappings(document.content)
            if "ppx" in mapping and re.search(side, path)
        ),
        None,
    )


def _matches(document: Document) -> bool:
    return "ppx" in document.text and _intrinsics(document, _LEFT) is not None


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    left, right = _intrinsics(document, _LEFT), _intrinsics(document, _RIGHT)
    if left is None or right is None:
        raise ValueError("no intrinsics (fx, ppx, ...) under infra1 and infra2, or left and right")
    for name, view in (("left", left), ("right", right)):
        if any(numbers(view.get("coeffs", []), None, f"coeffs of {name}")):
            raise ValueError(
                f"coeffs of {name} are not zero: these are raw images; save those of the "
                "rectified streams, infrared 1 and 2 as Y8"
            )
    stated = (int(number(left["width"], "width")), int(number(left["height"], "height")))
    return pinhole_pair(
        document.path,
        stated,
        focal=number(left["fx"], "fx"),
        cx=number(left["ppx"], "ppx"),
        cy=number(left["ppy"], "ppy"),
        cx_right=number(right["ppx"], "ppx"),
        baseline=_baseline(document),
    )


def _baseline(document: Document) -> float:
    """Return the distance of the two in metres, 0 where the file says none for sure."""
    candidates = []
    for path, mapping in _mappings(document.content):
        for key, unit in (("baseline_m", 1.0), ("baseline_mm", 1e-3), ("baseline", 1.0)):
            if key in mapping:
                return abs(number(mapping[key], key)) * unit
        if "translation" in mapping:
            shift = np.array(numbers(mapping["translation"], 3, "translation"))
            candidates.append((path, float(np.linalg.norm(shift))))
    between = [b for path, b in candidates if re.search(_LEFT, path) and re.search(_RIGHT, path)]
    if len(between) == 1 or len(candidates) == 1:
        return between[0] if between else candidates[0][1]
    return 0.0


FORMAT = Format(
    name="RealSense JSON",
    summary="RealSense JSON: intrinsics (fx, fy, ppx, ppy, width, height) under infra1 and infra2, "
    "translation (m) between them",
    files=(1,),
    matches=_matches,
    read=_read,
)
