"""A plan, deserialised, with the one context it runs in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.buffers import WorkingMemory
from stereo_depth_ros.engines.tensorrt.cuda import Cuda
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.error_log import ErrorLog
from stereo_depth_ros.engines.tensorrt.kernels import KernelCache
from stereo_depth_ros.engines.tensorrt.versions import Runtime

# What TensorRT 8 to 11 and RTX say of a plan that is cut short, altered, or of another version or
# GPU.
_DAMAGE = re.compile(
    r"\bserialization \(|magic ?tag|version tag|engine plan file|please rebuild|"
    r"not compatible with this version",
    re.IGNORECASE,
)

_KINDS = {"uint8": "UINT8", "float32": "FLOAT"}


class Execution:
    """The engine of ``file`` in ``runtime``; the context of ``cuda`` must be current.

    Raises
    ------
    EngineDamaged
        When TensorRT refuses the plan, or it is not of a graph that keeps the contract.
    EngineError
        When TensorRT cannot start.
    """

    def __init__(self, runtime: Runtime, file: EngineFile, cuda: Cuda) -> None:
        self._where = f"{file.path}: {runtime}"
        self._errors = ErrorLog()
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        self._memory: WorkingMemory | None = None
        self._kernels: KernelCache | None = None
        try:
            self._open(runtime, file)
            self._context = self._create_context(runtime, file, cuda)
        except BaseException:
            # All of it must be gone before CUDA is, which does not outlive this error.
            self.close()
            raise

    def _open(self, runtime: Runtime, file: EngineFile) -> None:
        runtime.load_plugins()
        try:
            self._runtime = runtime.module.Runtime(runtime.logger())
        except TypeError as error:
            # How the bindings put it that the library gave no runtime.
            raise EngineError(f"{self._where} cannot start: {self._errors}") from error
        try:
            plan = file.path.read_bytes()
        except OSError as error:
            raise EngineDamaged(f"{file.path} cannot be read: {error.strerror}") from error
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            raise self._refusal()
        self._check(*file.size, file.takes_prior)

    def _create_context(self, runtime: Runtime, file: EngineFile, cuda: Cuda) -> Any:
        if runtime.compiles_on_opening:
            self._kernels = KernelCache(self._engine, file.path)
            strategies = runtime.module.ExecutionContextAllocationStrategy
            config = self._kernels.config
            config.set_execution_context_allocation_strategy(strategies.USER_MANAGED)
            context = self._engine.create_execution_context(config)
        else:
            context = self._engine.create_execution_context()
        if context is None:
            raise self._no_context()
        if runtime.compiles_on_opening:
            self._memory = WorkingMemory(cuda, self._engine.device_memory_size_v2)
            context.set_device_memory(self._memory.address, self._memory.size)
        return context

    def _refusal(self) -> EngineError:
        """Return what to raise where TensorRT returned no engine.

        Only what it says of the plan itself is damage: an engine may have taken hours to build, and
        a new one helps against no trouble of CUDA.
        """
        text = str(self._errors)
        if _DAMAGE.search(text):
            return EngineDamaged(f"{self._where} refuses this engine: {text}")
        if "memory" in text.lower():
            cure = "stop what else uses the GPU"
        else:
            cure = "see nvidia-smi and dmesg; if the GPU is sound, delete the file to build it anew"
        return EngineError(f"{self._where} cannot load this engine: {text}; {cure}")

    def _no_context(self) -> EngineError:
        text = str(self._errors)
        # TensorRT-RTX compiles here, which fails for some layers on GPUs that it does not name.
        if "compil" in text.lower():
            cure = "use the mixed graph, TensorRT instead of TensorRT-RTX, or backend onnxruntime"
            return EngineError(f"{self._where} cannot compile it for this GPU: {text}; {cure}")
        return EngineError(
            f"{self._where} cannot make room to run: {text}; stop what else uses the GPU, or build "
            "with a smaller workspace"
        )

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Say where the tensors lie, once for all runs."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise EngineError(f"{self._where} refuses the address of {name}: {self._errors}")

    def enqueue(self, stream: int) -> None:
        """Enqueue one inference."""
        self._errors.clear()
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"{self._where} failed: {self._errors}")

    def why_no_capture(self, stream: int) -> str:
        """Return why the work cannot be captured, "" where nothing is known against it."""
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is None or capturable(stream):
            return ""
        return f"{self._where}: the work cannot be captured"

    def keep_kernels(self) -> None:
        """Keep what was compiled since the engine was opened, where the runtime compiles."""
        if self._kernels is not None:
            self._kernels.save()

    def close(self) -> None:
        """Release context, its memory, engine and runtime, in this order."""
        self._context = None
        self._kernels = None
        memory, self._memory = self._memory, None
        try:
            if memory is not None:
                memory.free()
        finally:
            self._engine = None
            self._runtime = None

    def _check(self, height: int, width: int, takes_prior: bool) -> None:
        expected = {
            name: (mode, _KINDS[kind.__name__], shape)
            for mode, layout in (
                ("INPUT", graph_contract.inputs(height, width, takes_prior)),
                ("OUTPUT", graph_contract.outputs(height, width)),
            )
            for name, (shape, kind) in layout.items()
        }
        actual = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            mode, kind = self._engine.get_tensor_mode(name), self._engine.get_tensor_dtype(name)
            actual[name] = (mode.name, kind.name, tuple(self._engine.get_tensor_shape(name)))
        if actual != expected:
            raise EngineDamaged(
                f"{self._where}: breaks the graph contract: its tensors are {actual}"
            )
