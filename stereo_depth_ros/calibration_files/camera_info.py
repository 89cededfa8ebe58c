"""camera_info: the YAML of camera_calibration, and dumps of ``ros2 topic echo``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    parse_matrix,
    parse_number,
    parse_numbers,
    report_faults,
)

_NAME = "camera_info YAML"
_FILE = {
    "width": "image_width",
    "height": "image_height",
    "k": "camera_matrix",
    "d": "distortion_coefficients",
    "r": "rectification_matrix",
    "p": "projection_matrix",
}
_ROS_1 = {"k": "K", "d": "D", "r": "R", "p": "P"}


def _matches(document: Document) -> bool:
    return "projection_matrix" in document or "camera_matrix" in document or _is_echo(document)


def _is_echo(document: Document) -> bool:
    return "distortion_model" in document and ("p" in document or "P" in document)


def _read_one(document: Document) -> Calibration:
    with report_faults(document.path, _NAME):
        return _make_calibration(document)


def _make_calibration(document: Document) -> Calibration:
    content, names = document.content, _FILE
    if _is_echo(document):
        names = _ROS_1 if "P" in document else {}

    def get(field: str) -> Any:
        return content[names.get(field, field)]

    def integer(value: Any, name: str) -> int:
        return int(parse_number(value, name))

    roi = content.get("roi") or {}
    return Calibration(
        width=integer(get("width"), names.get("width", "width")),
        height=integer(get("height"), names.get("height", "height")),
        k=parse_matrix(get("k"), 3, 3, "K"),
        p=parse_matrix(get("p"), 3, 4, "P"),
        r=parse_matrix(get("r"), 3, 3, "R"),
        d=tuple(parse_numbers(get("d"), None, "D")),
        distortion_model=str(content.get("distortion_model") or "plumb_bob"),
        binning=(
            integer(content.get("binning_x", 0), "binning_x"),
            integer(content.get("binning_y", 0), "binning_y"),
        ),
        roi=(
            integer(roi.get("x_offset", 0), "roi.x_offset"),
            integer(roi.get("y_offset", 0), "roi.y_offset"),
            integer(roi.get("width", 0), "roi.width"),
            integer(roi.get("height", 0), "roi.height"),
        ),
        source=document.path,
    )


def _read(documents: Sequence[Document], size: Size) -> Pair:
    left, right = (_read_one(document) for document in documents)
    return left, right


FORMAT = Format(
    name=_NAME,
    summary="camera_info YAML of camera_calibration or of ros2 topic echo: LEFT.yaml,RIGHT.yaml "
    "(two files and a comma)",
    files=(2,),
    matches=_matches,
    read=_read,
)
