"""ZED ``SN<serial>.conf``: raw cameras for each resolution, baseline in mm."""

from __future__ import annotations

import configparser
import re
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from stereo_depth_ros.calibration_files.document import Document, Format, Pair, Size, parse_number
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification

_SIZES = {
    "VGA": (672, 376),
    "SVGA": (960, 600),
    "HD": (1280, 720),
    "FHD": (1920, 1080),
    "FHD1200": (1920, 1200),
    "2K": (2208, 1242),
    "4K": (3840, 2160),
}
_D = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6")


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(document.text)
    except configparser.Error as error:
        raise ValueError(error) from error
    names = [name for name in _SIZES if parser.has_section(f"LEFT_CAM_{name}")]
    if not names:
        raise ValueError(f"no section [LEFT_CAM_...] of {', '.join(_SIZES)}")
    # The images' own, else the most alike in shape.
    name = min(names, key=lambda n: (_SIZES[n] != size, abs(_aspect(_SIZES[n]) - _aspect(size))))
    lenses = [_read_lens(parser, side, name, document.path) for side in ("LEFT", "RIGHT")]
    stereo = parser["STEREO"]

    def value(key: str) -> float:
        return parse_number(stereo.get(f"{key}_{name}", stereo.get(key, "0")), key)

    rotation = cv2.Rodrigues(np.array([value("RX"), value("CV"), value("RZ")]))[0]
    baseline = parse_number(stereo["Baseline"], "Baseline")
    translation = np.array([-baseline, value("TY"), value("TZ")])
    return plan_rectification(lenses[0], lenses[1], rotation, translation / 1000)


def _aspect(size: Size) -> float:
    return size[0] / size[1]


def _read_lens(parser: configparser.ConfigParser, side: str, name: str, path: str) -> Lens:
    camera: Mapping[str, str] = parser[f"{side}_CAM_{name}"]
    if "k1" not in camera and parser.has_section(f"{side}_DISTO"):
        camera = {**parser[f"{side}_DISTO"], **camera}
    return Lens.of(
        _SIZES[name],
        [parse_number(camera[key], key) for key in ("fx", "fy", "cx", "cy")],
        [parse_number(camera.get(key, "0"), key) for key in _D],
        "plumb_bob",
        path,
    )


FORMAT = Format(
    name="ZED .conf",
    summary="ZED SN....conf (raw)",
    files=(1,),
    matches=lambda document: bool(re.search(r"^\[LEFT_CAM_", document.text, re.MULTILINE)),
    read=_read,
)
