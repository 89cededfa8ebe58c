"""CUDA through NVIDIA's cuda-python, 12.9.1 or later.

Its functions are those of the CUDA runtime, which works on the primary context by itself; each
returns its status first.
"""

from __future__ import annotations

import ctypes
import importlib
from contextlib import AbstractContextManager, nullcontext
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.cuda_errors import cuda_error
from stereo_depth_ros.engines.tensorrt.cuda.api import HostMemory

_OLDEST = (12, 9, 1)  # the first that lets other threads of Python run while the GPU works

_CURES = {
    "cudaErrorInsufficientDriver": "install or update the NVIDIA driver, or install the "
    "cuda-python of its CUDA version, such as 'pip install \"cuda-python<13\"'",
    "cudaErrorNoDevice": "check that nvidia-smi lists a GPU, and CUDA_VISIBLE_DEVICES",
    "cudaErrorMemoryAllocation": "stop what else uses the GPU, or use smaller images",
}


class CudaPython:
    """See `stereo_depth_ros.engines.tensorrt.cuda.api.Cuda`."""

    def __init__(self) -> None:
        self.name = f"cuda-python {_version()}"
        self._api = _import()
        # Wait without spinning: a core is worth more than the microseconds that this costs. Where
        # it is refused the context is there already, which is no error.
        self._api.cudaSetDeviceFlags(self._api.cudaDeviceScheduleBlockingSync)
        self._do("cudaSetDevice", 0)
        self.device = self._do("cudaGetDeviceProperties", 0).name.split(b"\0")[0].decode()
        integrated = self._api.cudaDeviceAttr.cudaDevAttrIntegrated
        self.integrated = bool(self._do("cudaDeviceGetAttribute", integrated, 0))

    def current(self) -> AbstractContextManager[None]:
        """Nothing to do: the runtime takes the primary context of device 0 in any thread."""
        return nullcontext()

    def allocate(self, size: int) -> int:
        """See `Cuda.allocate`."""
        return int(self._do("cudaMalloc", size))

    def free(self, address: int) -> None:
        """See `Cuda.free`."""
        self._do("cudaFree", address)

    def allocate_host(self, size: int, mapped: bool) -> HostMemory:
        """See `Cuda.allocate_host`."""
        flags = self._api.cudaHostAllocMapped if mapped else self._api.cudaHostAllocDefault
        pointer = int(self._do("cudaHostAlloc", size, flags))
        array = np.ctypeslib.as_array((ctypes.c_uint8 * size).from_address(pointer))
        try:
            address = int(self._do("cudaHostGetDevicePointer", pointer, 0)) if mapped else None
        except EngineError:
            self._do("cudaFreeHost", pointer)
            raise
        return HostMemory(array, address, pointer)

    def free_host(self, memory: HostMemory) -> None:
        """See `Cuda.free_host`."""
        self._do("cudaFreeHost", memory.owner)

    def create_stream(self) -> int:
        """See `Cuda.create_stream`."""
        return int(self._do("cudaStreamCreateWithFlags", self._api.cudaStreamNonBlocking))

    def destroy_stream(self, stream: int) -> None:
        """See `Cuda.destroy_stream`."""
        self._do("cudaStreamDestroy", stream)

    def upload(self, memory: HostMemory, address: int, stream: int) -> None:
        """See `Cuda.upload`."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._do("cudaMemcpyAsync", address, memory.owner, memory.array.nbytes, kind, stream)

    def download(self, address: int, memory: HostMemory, stream: int) -> None:
        """See `Cuda.download`."""
        kind = self._api.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._do("cudaMemcpyAsync", memory.owner, address, memory.array.nbytes, kind, stream)

    def synchronize(self, stream: int) -> None:
        """See `Cuda.synchronize`."""
        self._do("cudaStreamSynchronize", stream)

    def begin_capture(self, stream: int) -> None:
        """See `Cuda.begin_capture`."""
        # Thread-local, so that what other threads allocate does not spoil it.
        mode = self._api.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._do("cudaStreamBeginCapture", stream, mode)

    def end_capture(self, stream: int) -> int:
        """See `Cuda.end_capture`."""
        recorded = self._do("cudaStreamEndCapture", stream)
        try:
            _, nodes = self._do("cudaGraphGetNodes", recorded)
            if not nodes:
                raise EngineError(f"{self.name}: nothing was captured")
            return int(self._do("cudaGraphInstantiateWithFlags", recorded, 0))
        finally:
            self._do("cudaGraphDestroy", recorded)

    def launch(self, graph: int, stream: int) -> None:
        """See `Cuda.launch`."""
        self._do("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: int) -> None:
        """See `Cuda.destroy_graph`."""
        self._do("cudaGraphExecDestroy", graph)

    def close(self) -> None:
        """Nothing to do: the primary context goes with the process."""

    def _do(self, name: str, *arguments: Any) -> Any:
        """Call the function ``name`` and return its results: none, one, or a tuple."""
        status, *results = getattr(self._api, name)(*arguments)
        if status != self._api.cudaError_t.cudaSuccess:
            cause = self._api.cudaGetErrorString(status)[1].decode()
            cure = _CURES.get(status.name, "see dmesg and nvidia-smi")
            raise cuda_error(f"{self.name}: {name} failed: {cause}; {cure}", int(status))
        return results[0] if len(results) == 1 else tuple(results)


def _import() -> Any:
    version = tuple(int(part) for part in _version().split(".")[:3] if part.isdigit())
    if version and version < _OLDEST:
        raise ImportError(
            f"cuda-python {_version()} stops all of Python while the GPU works; install "
            f"{'.'.join(map(str, _OLDEST))} or later"
        )
    return importlib.import_module("cuda.bindings.runtime")


def _version() -> str:
    for package in ("cuda-python", "cuda-bindings"):
        try:
            return version(package)
        except PackageNotFoundError:
            continue
    return "of unknown version"
