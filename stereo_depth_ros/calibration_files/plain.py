"""YAML or JSON that names the focal length and the baseline."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stereo_depth_ros.baseline import MAX_BASELINE_M
from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    make_matrix,
    make_pinhole_pair,
    parse_number,
    parse_size,
)

_LOG = logging.getLogger(__name__)

_FOCAL = ("focal_px", "fx")
_BASELINE = ("baseline_m", "baseline")
_DOFFS = ("doffs_px", "doffs")


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    content = document.content

    def first(keys: Sequence[str]) -> float | None:
        key = next((key for key in keys if content.get(key) is not None), None)
        return None if key is None else parse_number(content[key], key)

    def read(keys: Sequence[str], default: float) -> float:
        value = first(keys)
        if value is None:
            _LOG.warning("%s gives no %s: taken as %g", document.path, keys[0], default)
            return default
        return value

    focal = first(_FOCAL)
    if focal is None:
        raise ValueError("focal_px is missing; metric depth needs it")
    if focal <= 0:
        raise ValueError(f"focal_px is {focal:g}; it must be above 0")
    baseline = first(_BASELINE)
    if baseline is not None and not 0 < baseline <= MAX_BASELINE_M:
        raise ValueError(
            f"baseline_m is {baseline:g}; it must be above 0 and at most {MAX_BASELINE_M:g}: is it "
            "in millimetres?"
        )
    if content.get("width") is not None and content.get("height") is not None:
        size = parse_size(content["width"], content["height"])
    cx, cy = read(["cx"], (size[0] - 1) / 2), read(["cy"], (size[1] - 1) / 2)
    cx_right = first(["cx_right"])
    if cx_right is None:
        cx_right = cx + read(_DOFFS, 0.0)
    fy = first(["fy"]) or focal
    left, right = make_matrix(focal, fy, cx, cy), make_matrix(focal, fy, cx_right, cy)
    return make_pinhole_pair(document.path, size, left, right, baseline or 0.0)


FORMAT = Format(
    name="focal_px and baseline_m",
    summary="YAML or JSON with focal_px (or fx) and baseline_m (m), and optionally cx, cy, "
    "doffs_px (cx_right - cx) or cx_right, fy, width, height",
    files=(1,),
    matches=lambda document: any(key in document for key in (*_FOCAL, *_BASELINE)),
    read=_read,
)
