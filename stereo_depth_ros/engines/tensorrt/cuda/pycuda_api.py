"""CUDA through pycuda, and what it lacks, CUDA graphs, through the driver itself."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.cuda_errors import cuda_error
from stereo_depth_ros.engines.tensorrt.cuda.api import HostMemory

_NON_BLOCKING = 1  # CU_STREAM_NON_BLOCKING
_THREAD_LOCAL = 1  # CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
_BLOCKING_SYNC = 4  # CU_CTX_SCHED_BLOCKING_SYNC

# The last reference that goes would reset the context under whatever else uses it: another engine,
# ONNX Runtime.
_RETAINED: list[Any] = []


class PyCuda:
    """See `stereo_depth_ros.engines.tensorrt.cuda.api.Cuda`.

    The context is pushed for each use and popped after it, since pycuda aborts a process in which a
    thread has ended with a context on its stack.
    """

    def __init__(self) -> None:
        self._driver = importlib.import_module("pycuda.driver")
        self.name = f"pycuda {importlib.import_module('pycuda').VERSION_TEXT}"
        # pycuda has loaded it already, so it is there.
        self._library = ctypes.CDLL("libcuda.so.1")
        self._allocations: dict[int, Any] = {}
        self._streams: dict[int, Any] = {}
        with self._asking("a GPU", "check that nvidia-smi lists one, and CUDA_VISIBLE_DEVICES"):
            self._driver.init()
            device = self._driver.Device(0)
            self.device = device.name()
            self.integrated = bool(device.get_attribute(self._driver.device_attribute.INTEGRATED))
            self._let_wait_without_spinning()
            self._context = device.retain_primary_context()
        _RETAINED.append(self._context)

    def _let_wait_without_spinning(self) -> None:
        # A core is worth more than the microseconds that this costs. Where the context is there
        # already it stays as it is, which is no error.
        device = ctypes.c_int()
        if self._library.cuDeviceGet(ctypes.byref(device), 0) == 0:
            self._library.cuDevicePrimaryCtxSetFlags_v2(device, _BLOCKING_SYNC)

    @contextmanager
    def current(self) -> Iterator[None]:
        """See `Cuda.current`."""
        with self._asking("the context"):
            self._context.push()
        try:
            yield
        except BaseException:
            # What failed is the cause, not what comes of it here.
            with suppress(self._driver.Error):
                self._driver.Context.pop()
            raise
        with self._asking("to leave the context"):
            self._driver.Context.pop()

    def allocate(self, size: int) -> int:
        """See `Cuda.allocate`."""
        with self._asking(f"{size} bytes", "stop what else uses the GPU, or use smaller images"):
            allocation = self._driver.mem_alloc(size)
        self._allocations[int(allocation)] = allocation
        return int(allocation)

    def free(self, address: int) -> None:
        """See `Cuda.free`."""
        with self._asking("to free memory"):
            self._allocations.pop(address).free()

    def allocate_host(self, size: int, mapped: bool) -> HostMemory:
        """See `Cuda.allocate_host`."""
        flags = self._driver.host_alloc_flags.DEVICEMAP if mapped else 0
        with self._asking(f"{size} page-locked bytes", "free some of the CPU's memory"):
            array = self._driver.pagelocked_empty(size, np.uint8, mem_flags=flags)
            address = int(array.base.get_device_pointer()) if mapped else None
        return HostMemory(array, address, array.base)

    def free_host(self, memory: HostMemory) -> None:
        """See `Cuda.free_host`."""
        with self._asking("to free page-locked memory"):
            memory.owner.free()

    def create_stream(self) -> int:
        """See `Cuda.create_stream`."""
        with self._asking("a stream"):
            stream = self._driver.Stream(_NON_BLOCKING)
        self._streams[stream.handle] = stream
        return stream.handle

    def destroy_stream(self, stream: int) -> None:
        """See `Cuda.destroy_stream`."""
        # Its destructor does it.
        del self._streams[stream]

    def upload(self, memory: HostMemory, address: int, stream: int) -> None:
        """See `Cuda.upload`."""
        with self._asking("a copy to the GPU"):
            self._driver.memcpy_htod_async(address, memory.array, self._streams[stream])

    def download(self, address: int, memory: HostMemory, stream: int) -> None:
        """See `Cuda.download`."""
        with self._asking("a copy from the GPU"):
            self._driver.memcpy_dtoh_async(memory.array, address, self._streams[stream])

    def synchronize(self, stream: int) -> None:
        """See `Cuda.synchronize`."""
        with self._asking("to finish"):
            self._streams[stream].synchronize()

    def begin_capture(self, stream: int) -> None:
        """See `Cuda.begin_capture`."""
        # Thread-local, so that what other threads allocate does not spoil it.
        self._do("cuStreamBeginCapture_v2", ctypes.c_void_p(stream), _THREAD_LOCAL)

    def end_capture(self, stream: int) -> int:
        """See `Cuda.end_capture`."""
        recorded, graph = ctypes.c_void_p(), ctypes.c_void_p()
        self._do("cuStreamEndCapture", ctypes.c_void_p(stream), ctypes.byref(recorded))
        try:
            nodes = ctypes.c_size_t()
            self._do("cuGraphGetNodes", recorded, None, ctypes.byref(nodes))
            if not nodes.value:
                raise EngineError(f"{self.name}: nothing was captured")
            no_flags = ctypes.c_ulonglong(0)
            self._do("cuGraphInstantiateWithFlags", ctypes.byref(graph), recorded, no_flags)
        finally:
            self._do("cuGraphDestroy", recorded)
        assert graph.value is not None
        return graph.value

    def launch(self, graph: int, stream: int) -> None:
        """See `Cuda.launch`."""
        self._do("cuGraphLaunch", ctypes.c_void_p(graph), ctypes.c_void_p(stream))

    def destroy_graph(self, graph: int) -> None:
        """See `Cuda.destroy_graph`."""
        self._do("cuGraphExecDestroy", ctypes.c_void_p(graph))

    def close(self) -> None:
        """Nothing to do: the primary context goes with the process."""

    @contextmanager
    def _asking(self, what: str, cure: str = "see dmesg and nvidia-smi") -> Iterator[None]:
        try:
            yield
        except self._driver.Error as error:
            # pycuda tells no codes, and what ended the context is told by every later call.
            code = self._library.cuCtxSynchronize()
            raise cuda_error(f"{self.name}: was refused {what}: {error}; {cure}", code) from error

    def _do(self, function: str, *arguments: Any) -> None:
        status = getattr(self._library, function)(*arguments)
        if status:
            text = ctypes.c_char_p()
            self._library.cuGetErrorString(status, ctypes.byref(text))
            cause = text.value.decode() if text.value else "unknown error"
            raise cuda_error(f"{self.name}: {function} failed: {cause} ({status})", status)
