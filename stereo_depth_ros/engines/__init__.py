"""What runs a stereo graph or algorithm, behind one small interface."""

from stereo_depth_ros.engines.backend import Context
from stereo_depth_ros.engines.backends import NAMES as BACKEND_NAMES
from stereo_depth_ros.engines.base import (
    Engine,
    EngineError,
    EngineLostError,
    EngineSpec,
    Provenance,
)
from stereo_depth_ros.engines.open import open_engine

__all__ = [
    "BACKEND_NAMES",
    "Context",
    "Engine",
    "EngineError",
    "EngineLostError",
    "EngineSpec",
    "Provenance",
    "open_engine",
]
