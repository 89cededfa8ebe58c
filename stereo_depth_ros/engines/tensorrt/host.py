"""Where engines are built and run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from stereo_depth_ros.engines.base import RunInThread, run_here
from stereo_depth_ros.engines.prior import PriorEngine
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import Device, find_device
from stereo_depth_ros.engines.tensorrt.engine_file import EngineFile
from stereo_depth_ros.engines.tensorrt.versions import Runtime, find_runtime

_BUILD = "stereo_depth_ros.engines.tensorrt.builder:build_file"


@dataclass(frozen=True)
class Host:
    """Where engines are built and run: the TensorRT, the GPU, the cache.

    ``open_file`` opens an engine, within ``run``; ``target`` is what the child process calls to
    build one, see `build_process.run_in_child`.
    """

    runtime: Runtime
    device: Device
    cache: EngineCache
    open_file: Callable[[EngineFile], PriorEngine]
    target: str = _BUILD
    run: RunInThread = run_here


def this_host(cuda_backend: str = "auto", runtime_name: str | None = None) -> Host:
    """Return what this machine has; ``runtime_name`` insists on "tensorrt" or "tensorrt_rtx".

    Raises
    ------
    EngineError
        When it has no GPU or no TensorRT, or nowhere to keep engines.
    """
    # First the driver: without one TensorRT does not always fail, it may crash.
    device = find_device()
    runtime = find_runtime(runtime_name)

    def open_file(file: EngineFile) -> PriorEngine:
        from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine

        return TensorRTEngine(file, cuda_backend)

    return Host(runtime, device, EngineCache(), open_file)
