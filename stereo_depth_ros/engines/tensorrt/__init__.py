"""TensorRT: graphs become engines, engines are proven before they are trusted, and run."""

from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.obtain import obtain_engine, open_obtained
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import BuildProgress

__all__ = [
    "BuildCancelled",
    "BuildOptions",
    "BuildProgress",
    "EngineDamaged",
    "EngineFile",
    "obtain_engine",
    "open_obtained",
]
