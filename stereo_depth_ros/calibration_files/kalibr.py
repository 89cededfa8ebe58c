"""Kalibr ``camchain.yaml``: two raw cameras and the pose between them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

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


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    content = document.content
    first, second = (_read_lens(content[name], name, document.path) for name in ("cam0", "cam1"))
    # Takes points from the frame of cam0 to that of cam1.
    pose = parse_matrix(content["cam1"]["T_cn_cnm1"], 4, 4, "T_cn_cnm1")
    if pose[0, 3] > 0:
        _LOG.warning("%s: cam1 lies to the left of cam0, so that it is the left", document.path)
        first, second, pose = second, first, np.linalg.inv(pose)
    return plan_rectification(first, second, pose[:3, :3], pose[:3, 3])


def _read_lens(camera: dict[str, Any], name: str, path: str) -> Lens:
    if camera["camera_model"] != "pinhole":
        raise ValueError(
            f"camera_model of {name} is {str(camera['camera_model'])[:40]!r}; calibrate with "
            "pinhole-radtan or pinhole-equi"
        )

    return Lens.of(
        parse_size(*parse_numbers(camera["resolution"], 2, "resolution")),
        parse_numbers(camera["intrinsics"], 4, "intrinsics"),
        parse_numbers(camera["distortion_coeffs"], None, "distortion_coeffs"),
        str(camera["distortion_model"]),
        path,
    )


FORMAT = Format(
    name="Kalibr camchain",
    summary="Kalibr camchain.yaml (raw)",
    files=(1,),
    matches=lambda document: isinstance(document.content.get("cam0"), dict),
    read=_read,
)
