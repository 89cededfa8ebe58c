"""DepthAI (OAK) calibration JSON: raw cameras by socket, poses in cm."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    parse_matrix,
    parse_number,
    parse_numbers,
    parse_size,
)
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification

_MODELS = {0: "plumb_bob", 1: "equidistant"}


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    content = document.content
    cameras = {
        int(parse_number(socket, "socket")): camera for socket, camera in content["cameraData"]
    }
    stereo = content["stereoRectificationData"]
    sockets = [int(parse_number(stereo[f"{side}CameraSocket"], side)) for side in ("left", "right")]
    left, right = (_read_lens(cameras[socket], document.path) for socket in sockets)
    (of_left, base), (of_right, other_base) = (_chain_poses(cameras, s) for s in sockets)
    if base != other_base:
        raise ValueError(f"no extrinsics lead from socket {sockets[0]} to socket {sockets[1]}")
    pose = np.linalg.inv(of_right) @ of_left
    return plan_rectification(left, right, pose[:3, :3], pose[:3, 3] / 100)


def _read_lens(camera: dict[str, Any], path: str) -> Lens:
    kind = int(parse_number(camera.get("cameraType", 0), "cameraType"))
    if kind not in _MODELS:
        raise ValueError(f"cameraType {kind}; known are 0, perspective, and 1, fisheye")
    d = parse_numbers(camera["distortionCoeff"], None, "distortionCoeff")
    k = parse_matrix(camera["intrinsicMatrix"], 3, 3, "intrinsicMatrix")
    return Lens(
        parse_size(camera["width"], camera["height"]),
        k,
        tuple(d[:4] if kind == 1 else d),
        _MODELS[kind],
        path,
    )


def _chain_poses(cameras: dict[int, Any], socket: int) -> tuple[np.ndarray, int]:
    """Return what takes points from a camera to the last that its extrinsics lead to, in cm.

    And the socket of that one.
    """
    pose = np.eye(4)
    for _ in cameras:
        extrinsics = cameras[socket]["extrinsics"]
        target = int(parse_number(extrinsics["toCameraSocket"], "toCameraSocket"))
        if target not in cameras:
            return pose, socket
        step = np.eye(4)
        step[:3, :3] = parse_matrix(extrinsics["rotationMatrix"], 3, 3, "rotationMatrix")
        shift = extrinsics["translation"]
        step[:3, 3] = [parse_number(shift[axis], f"translation.{axis}") for axis in "xyz"]
        pose, socket = step @ pose, target
    raise ValueError("the extrinsics of the cameras lead in a circle")


FORMAT = Format(
    name="DepthAI JSON",
    summary="DepthAI calibration JSON (raw)",
    files=(1,),
    matches=lambda document: "cameraData" in document,
    read=_read,
)
