"""Real-time stereo depth for robots: metric depth, disparity, confidence, clouds."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stereo_depth_ros.calibration import Calibration
    from stereo_depth_ros.camera import StereoCamera
    from stereo_depth_ros.errors import UserError
    from stereo_depth_ros.settings import Settings
    from stereo_depth_ros.stereo_depth import StereoDepth
    from stereo_depth_ros.stereo_model import StereoModel, open_model

__all__ = [
    "Calibration",
    "Settings",
    "StereoCamera",
    "StereoDepth",
    "StereoModel",
    "UserError",
    "open_model",
]

_MODULES = {
    "Calibration": "calibration",
    "Settings": "settings",
    "StereoCamera": "camera",
    "StereoDepth": "stereo_depth",
    "StereoModel": "stereo_model",
    "UserError": "errors",
    "open_model": "stereo_model",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for only now, so that the package itself imports in no time."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
