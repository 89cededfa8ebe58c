"""What figures were measured on, and with what."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import stereo_depth_ros
from stereo_depth_ros.cpu import name_cpu
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.device import board, find_device
from stereo_depth_ros.share import PACKAGE
from stereo_depth_ros.version import find_version

_DRIVER = Path("/proc/driver/nvidia/version")


def describe_machine() -> dict[str, str]:
    """Return ``machine``, ``cpu``, ``gpu``, ``driver``, ``package`` and ``commit``.

    What is unknown or absent says so.
    """
    try:
        gpu = str(find_device())
    except EngineError as error:
        gpu = f"none ({error})"
    return {
        "machine": board(),
        "cpu": name_cpu(),
        "gpu": gpu,
        "driver": _search(r"Kernel Module\s+(?:for \w+\s+)?([\d.]+)", _DRIVER),
        "package": f"{PACKAGE} {find_version()}",
        "commit": _commit(),
    }


def _search(pattern: str, file: Path) -> str:
    try:
        match = re.search(pattern, file.read_text())
    except OSError:
        match = None
    return match[1].strip() if match else "unknown"


def _commit() -> str:
    """Return the commit of a checkout, with "+" where files differ from it."""
    checkout = Path(stereo_depth_ros.__file__).resolve().parents[1]
    if not (checkout / ".git").exists():
        return "unknown"
    command = ["git", "describe", "--always", "--dirty=+", "--match", ""]
    try:
        answer = subprocess.run(command, cwd=checkout, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()
