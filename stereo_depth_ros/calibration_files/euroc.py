"""EuRoC ``sensor.yaml`` of each camera: a raw camera and its pose on the body."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    parse_matrix,
    parse_numbers,
    parse_size,
    report_faults,
)
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification

_NAME = "EuRoC sensor.yaml"


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (left, of_left), (right, of_right) = (_read_one(document) for document in documents)
    pose = np.linalg.inv(of_right) @ of_left
    return plan_rectification(left, right, pose[:3, :3], pose[:3, 3])


def _read_one(document: Document) -> tuple[Lens, np.ndarray]:
    """Return the lens, and what takes points from its frame to that of the body."""
    with report_faults(document.path, _NAME):
        return _read_lens(document), parse_matrix(document.content["T_BS"], 4, 4, "T_BS")


def _read_lens(document: Document) -> Lens:
    content = document.content

    return Lens.of(
        parse_size(*parse_numbers(content["resolution"], 2, "resolution")),
        parse_numbers(content["intrinsics"], 4, "intrinsics"),
        parse_numbers(content["distortion_coefficients"], None, "distortion_coefficients"),
        str(content["distortion_model"]),
        document.path,
    )


FORMAT = Format(
    name=_NAME,
    summary="EuRoC sensor.yaml: LEFT.yaml,RIGHT.yaml (raw)",
    files=(2,),
    matches=lambda document: "T_BS" in document and "intrinsics" in document,
    read=_read,
)
