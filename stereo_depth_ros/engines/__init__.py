"""What runs a stereo graph or algorithm, behind one small interface."""

from stereo_depth_ros.engines.backend import Caller
from stereo_depth_ros.engines.backends import NAMES as BACKEND_NAMES
from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError, EngineSpec
from stereo_depth_ros.engines.open import open_engine

__all__ = [
    "BACKEND_NAMES",
    "Caller",
    "Engine",
    "EngineError",
    "EngineLostError",
    "EngineSpec",
    "open_engine",
]
