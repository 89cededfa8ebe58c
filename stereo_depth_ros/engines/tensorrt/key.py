"""What an engine depends on, and how two such keys differ."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping
from typing import Any

from stereo_depth_ros.engines.tensorrt.builder import REVISIONS
from stereo_depth_ros.engines.tensorrt.device import Device, board, cudnn_version
from stereo_depth_ros.engines.tensorrt.graph import Graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.versions import MODULES, Runtime


def engine_key(
    graph: Graph, precision: str, options: BuildOptions, runtime: Runtime, device: Device
) -> dict[str, Any]:
    """Return all that a plan depends on; engines of equal keys are interchangeable."""
    return {
        "graph": graph.sha256,
        "precision": precision,
        "options": _key_of(options),
        **machine_key(runtime, device),
    }


def _key_of(options: BuildOptions) -> dict[str, Any]:
    key: dict[str, Any] = {"workspace_mb": options.workspace_mb, "level": options.level}
    if not options.tf32:
        key["tf32"] = False
    if override := os.environ.get("NVIDIA_TF32_OVERRIDE"):
        key["tf32_override"] = override
    return key


def machine_key(runtime: Runtime, device: Device) -> dict[str, Any]:
    """Return the part of every key that is the same for all engines of this machine."""
    machine: dict[str, Any] = {
        "runtime": {"module": runtime.name, "version": runtime.version},
        "device": {
            "name": device.name,
            "compute_capability": device.compute_capability,
            "multiprocessors": device.multiprocessors,
            # Drivers keep some for themselves, and not always as much.
            "memory_gb": round(device.memory_mb / 1024),
        },
        "board": board(),
        "builder": REVISIONS[runtime.name],
    }
    # On a Jetson the release of its Linux tells it.
    if not runtime.keeps_types and machine["board"] == platform.machine():
        machine["cudnn"] = cudnn_version()
    return machine


def differences(key: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """Return in words what of ``key`` is not as ``expected``."""
    return [
        _CHANGES[part](key.get(part), expected[part])
        for part in expected
        if key.get(part) != expected[part]
    ]


def _runtime_words(runtime: Mapping[str, str]) -> str:
    return f"{MODULES[runtime['module']]} {runtime['version']}"


_CHANGES: dict[str, Callable[[Any, Any], str]] = {
    "graph": lambda old, new: "the graph has changed since",
    "precision": lambda old, new: f"it is in {old}, not {new}",
    "runtime": lambda old, new: f"it is of {_runtime_words(old)}, not {_runtime_words(new)}",
    "device": lambda old, new: (
        f"it is for {old['name']}, not {new['name']}"
        if old["name"] != new["name"]
        else f"it is for another {old['name']}"
    ),
    "board": lambda old, new: f"it is of {old}, not {new}",
    "options": lambda old, new: "it was built with other options",
    "cudnn": lambda old, new: f"it is for cuDNN {old}, not {new}",
    "builder": lambda old, new: "an older release of this package built it",
}
