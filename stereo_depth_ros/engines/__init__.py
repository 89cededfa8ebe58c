"""What runs a stereo graph or algorithm, behind one small interface."""

from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError, EngineSpec
from stereo_depth_ros.engines.open import BACKENDS, Caller, open_engine

__all__ = [
    "BACKENDS",
    "Caller",
    "Engine",
    "EngineError",
    "EngineLostError",
    "EngineSpec",
    "open_engine",
]
