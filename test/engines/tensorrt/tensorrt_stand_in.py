"""The part of TensorRT that runs an engine; a plan is an ONNX file, and ONNX Runtime runs it.

Its classes have names and members that the real bindings have, and no others; test_bindings.py
compares them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
from cuda_stand_in import StandInCuda

from stereo_depth_ros.engines.tensorrt.versions import Runtime as FoundRuntime

WORKING_MEMORY = 4096


@dataclass
class Faults:
    """What shall go wrong; ``refused_runs`` counts calls of ``execute_async_v3`` from 1.

    ``no_context`` is what is said when none is created.
    """

    refused_runs: tuple[int, ...] = ()
    unsound_capture: bool = False
    changing_answers: bool = False
    not_capturable: bool = False
    no_context: str | None = None
    no_runtime: bool = False
    no_memory: bool = False
    refusal: str = ""
    log: list[str] = field(default_factory=list)


class DataType(Enum):
    UINT8 = "tensor(uint8)"
    FLOAT = "tensor(float)"
    HALF = "tensor(float16)"


class TensorIOMode(Enum):
    INPUT = 1
    OUTPUT = 2


class ILogger:
    def __init__(self) -> None: ...

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class ExecutionContextAllocationStrategy(Enum):
    STATIC = 0
    USER_MANAGED = 2


class IRuntimeCache:
    """Kernels are the word "kernels", and the first run of a context compiles them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.content = b""

    def deserialize(self, blob: bytes) -> bool:
        if blob != b"kernels":
            return False
        self.content = blob
        return True

    def reset(self) -> bool:
        self.content = b""
        return True

    def serialize(self) -> bytes:
        return self.content


class IRuntimeConfig:
    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self.strategy = ExecutionContextAllocationStrategy.STATIC
        self.cache: IRuntimeCache | None = None

    def create_runtime_cache(self) -> IRuntimeCache:
        return IRuntimeCache(self._faults)

    def set_runtime_cache(self, cache: IRuntimeCache) -> bool:
        self.cache = cache
        return True

    def set_execution_context_allocation_strategy(
        self, strategy: ExecutionContextAllocationStrategy
    ) -> None:
        self.strategy = strategy


class IExecutionContext:
    def __init__(
        self,
        cuda: StandInCuda,
        session: Any,
        logger: Any,
        faults: Faults,
        config: IRuntimeConfig | None,
    ) -> None:
        self._cuda, self._session, self._logger, self._faults = cuda, session, logger, faults
        self._addresses: dict[str, int] = {}
        self._runs = 0
        self._config, self._memory = config, (0, 0)

    def set_device_memory(self, memory: int, size: int) -> None:
        self._memory = memory, size

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return memory % 256 == 0

    def is_stream_capturable(self, stream: int) -> bool:
        return not self._faults.not_capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        self._runs += 1
        if self._config is not None:
            assert self._config.strategy is ExecutionContextAllocationStrategy.USER_MANAGED
            self._cuda.bytes_at(*self._memory)
            assert self._memory[1] >= WORKING_MEMORY
            cache = self._config.cache
            if cache is not None and cache.content != b"kernels":
                self._faults.log.append("compile")
                cache.content = b"kernels"
        if self._runs in self._faults.refused_runs:
            self._logger.log("ERROR", "told to fail")
            return False
        if self._cuda.is_recording:
            if self._runs == 1:
                self._logger.log("ERROR", "put-off work cannot be captured")
                return False
            if self._faults.unsound_capture:
                return True
        wrong = self._faults.changing_answers and self._cuda.is_recording
        self._cuda.enqueue(stream_handle, lambda: self._infer(np.float32(1 + wrong)))
        return True

    def _infer(self, factor: np.float32) -> None:
        given = {}
        for tensor in self._session.get_inputs():
            kind = np.dtype(np.uint8 if tensor.type == "tensor(uint8)" else np.float32)
            size = int(np.prod(tensor.shape)) * kind.itemsize
            found = self._cuda.bytes_at(self._addresses[tensor.name], size)
            given[tensor.name] = found.view(kind).reshape(tensor.shape)
        names = [tensor.name for tensor in self._session.get_outputs()]
        for name, values in zip(names, self._session.run(names, given), strict=True):
            target = self._cuda.bytes_at(self._addresses[name], values.nbytes)
            target[:] = (values * factor).view(np.uint8).ravel()

    def __del__(self) -> None:
        self._faults.log.append("context")


class ICudaEngine:
    def __init__(self, cuda: StandInCuda, session: Any, logger: Any, faults: Faults) -> None:
        self._parts = cuda, session, logger, faults
        self._inputs = {t.name: t for t in session.get_inputs()}
        self._tensors = {**self._inputs, **{t.name: t for t in session.get_outputs()}}

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def get_tensor_name(self, index: int) -> str:
        return list(self._tensors)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return TensorIOMode.INPUT if name in self._inputs else TensorIOMode.OUTPUT

    def get_tensor_dtype(self, name: str) -> DataType:
        return DataType(self._tensors[name].type)

    def get_tensor_shape(self, name: str) -> list[int]:
        return self._tensors[name].shape

    @property
    def device_memory_size_v2(self) -> int:
        return WORKING_MEMORY

    def create_runtime_config(self) -> IRuntimeConfig:
        return IRuntimeConfig(self._parts[3])

    def create_execution_context(
        self, runtime_config: IRuntimeConfig | None = None
    ) -> IExecutionContext | None:
        if (reason := self._parts[3].no_context) is not None:
            if reason:
                self._parts[2].log("INTERNAL_ERROR", reason)
            return None
        return IExecutionContext(*self._parts, runtime_config)

    def __del__(self) -> None:
        self._parts[3].log.append("engine")


def make_runtime(
    cuda: StandInCuda, faults: Faults | None = None, name: str = "tensorrt"
) -> FoundRuntime:
    """The stand-in as `find_runtime` would return it, working on ``cuda``."""
    faults = faults or Faults()

    class Runtime:
        def __init__(self, logger: Any) -> None:
            if faults.no_runtime:
                logger.log("INTERNAL_ERROR", "CUDA initialization failure with error: 35")
                raise TypeError("factory function returned nullptr")
            self._logger = logger

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> ICudaEngine | None:
            if faults.refusal:
                self._logger.log("ERROR", faults.refusal)
                return None
            if faults.no_memory:
                self._logger.log("ERROR", "Cuda Runtime (out of memory)")
                return None
            try:
                session = onnxruntime.InferenceSession(serialized_engine)
            except Exception:
                self._logger.log("ERROR", "Error Code 1: Serialization (Magic tag does not match)")
                return None
            return ICudaEngine(cuda, session, self._logger, faults)

        def __del__(self) -> None:
            faults.log.append("runtime")

    module = SimpleNamespace(
        Runtime=Runtime,
        ILogger=ILogger,
        NetworkDefinitionCreationFlag=SimpleNamespace(STRONGLY_TYPED=1),
        BuilderFlag=SimpleNamespace(),
    )
    if name == "tensorrt_rtx":
        module.IRuntimeCache = IRuntimeCache
        module.ExecutionContextAllocationStrategy = ExecutionContextAllocationStrategy
    return FoundRuntime(name, "10.3.0", module)
