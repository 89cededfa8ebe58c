"""Read the calibration of a rectified pair from the files that people have."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from stereo_depth_ros.calibration import Calibration, CalibrationError

Pair = tuple[Calibration, Calibration]

_LOG = logging.getLogger(__name__)

FORMATS = """\
  - camera_info YAML of camera_calibration: LEFT.yaml,RIGHT.yaml (two files and a comma)
  - YAML or JSON with focal_px and baseline_m (m), and optionally cx, cy, doffs_px (cx_right - cx)
  - Middlebury calib.txt (cam0, cam1, baseline in mm)
  - KITTI calib.txt or calib_cam_to_cam.txt (P2/P3 or P_rect_02/P_rect_03)"""


def read_calibration(path: str, width: int, height: int) -> Pair:
    """Return (left, right) of a pair whose images are ``width`` x ``height`` px.

    ``path`` is one file, or two camera_info files joined by a comma.

    Raises
    ------
    CalibrationError
        When a file is missing, is of no known format, or lacks a number.
    """
    try:
        if "," in path and not Path(path).is_file():
            left, right = path.split(",", 1)
            return _camera_info(left), _camera_info(right)
        text = Path(path).read_text()
        if re.search(r"^cam0\s*=", text, re.MULTILINE):
            return _middlebury(text, width, height, path)
        if re.search(r"^P(2|_rect_02):", text, re.MULTILINE):
            return _kitti(text, width, height, path)
        content = _parsed(text)
        if isinstance(content, dict) and "focal_px" in content:
            return _plain(content, width, height, path)
    except OSError as error:
        raise CalibrationError(f"calibration file: {error}") from error
    except (LookupError, ValueError, TypeError, yaml.YAMLError) as error:
        if isinstance(error, CalibrationError):
            raise
        raise CalibrationError(f"{path}: {error!r}; known formats:\n{FORMATS}") from error
    raise CalibrationError(f"{path}: not a known calibration format; known are:\n{FORMATS}")


def _parsed(text: str) -> Any:
    try:
        # YAML forbids the tabs that JSON may be indented with.
        return json.loads(text)
    except ValueError:
        return yaml.safe_load(text)


def _camera_info(path: str) -> Calibration:
    content = yaml.safe_load(Path(path).read_text())

    def matrix(key: str, rows: int, columns: int) -> np.ndarray:
        return np.array(content[key]["data"], np.float64).reshape(rows, columns)

    return Calibration(
        width=int(content["image_width"]),
        height=int(content["image_height"]),
        k=matrix("camera_matrix", 3, 3),
        p=matrix("projection_matrix", 3, 4),
        r=matrix("rectification_matrix", 3, 3),
        d=tuple(content["distortion_coefficients"]["data"]),
        distortion_model=content.get("distortion_model", "plumb_bob"),
        source=path,
    )


def _plain(content: dict[str, Any], width: int, height: int, path: str) -> Pair:
    focal, baseline = content["focal_px"], content["baseline_m"]
    if focal is None or baseline is None:
        raise CalibrationError(
            f"{path}: focal_px is {focal} and baseline_m {baseline}; metric depth needs both"
        )

    def given(key: str, default: float) -> float:
        value = content.get(key)
        if value is None:
            _LOG.warning("%s gives no %s: taken as %g", path, key, default)
        return default if value is None else float(value)

    cx, cy = given("cx", (width - 1) / 2), given("cy", (height - 1) / 2)
    cx_right = cx + given("doffs_px", 0.0)
    return _pair(width, height, float(focal), cx, cy, cx_right, float(baseline), path)


def _middlebury(text: str, width: int, height: int, path: str) -> Pair:
    lines = (line.split("=", 1) for line in text.splitlines() if "=" in line)
    fields = {key.strip(): value for key, value in lines}

    def matrix(key: str) -> np.ndarray:
        rows = fields[key].strip().strip("[]").split(";")
        return np.array([[float(x) for x in row.split()] for row in rows])

    left, right = matrix("cam0"), matrix("cam1")
    baseline = float(fields["baseline"]) / 1000.0
    return _pair(width, height, left[0, 0], left[0, 2], left[1, 2], right[0, 2], baseline, path)


def _kitti(text: str, width: int, height: int, path: str) -> Pair:
    fields = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)

    def matrix(*keys: str) -> np.ndarray:
        key = next((k for k in keys if k in fields), keys[0])
        return np.array([float(x) for x in fields[key].split()]).reshape(3, 4)

    left, right = matrix("P2", "P_rect_02"), matrix("P3", "P_rect_03")
    # KITTI's P are relative to camera 0, so both have a translation.
    baseline = (left[0, 3] - right[0, 3]) / left[0, 0]
    return _pair(width, height, left[0, 0], left[0, 2], left[1, 2], right[0, 2], baseline, path)


def _pair(
    width: int,
    height: int,
    focal: float,
    cx: float,
    cy: float,
    cx_right: float,
    baseline: float,
    path: str,
) -> Pair:
    return (
        Calibration.pinhole(width, height, focal, cx, cy, source=path),
        Calibration.pinhole(width, height, focal, cx_right, cy, -focal * baseline, source=path),
    )
