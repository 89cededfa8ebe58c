"""A plan, deserialised, with the one context it runs in."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Any

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.cache import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.versions import Runtime


class Execution:
    """The engine of ``file`` in ``runtime``; a CUDA context must be current.

    Raises
    ------
    EngineDamaged
        When TensorRT refuses the plan, or it is not of a graph that keeps the contract.
    EngineError
        When TensorRT cannot start.
    """

    def __init__(self, runtime: Runtime, file: EngineFile) -> None:
        self._where = f"{file.path}: {runtime}"
        self._errors: deque[str] = deque(maxlen=8)
        self._runtime: Any = None
        self._engine: Any = None
        self._context: Any = None
        try:
            self._open(runtime, file)
        except BaseException:
            # All of it must be gone before CUDA is, which does not outlive this error.
            self.close()
            raise

    def _open(self, runtime: Runtime, file: EngineFile) -> None:
        self._logger = runtime.logger(self._log)
        runtime.load_plugins(self._logger)
        try:
            self._runtime = runtime.module.Runtime(self._logger)
        except TypeError as error:
            # How the bindings put it that the library gave no runtime.
            raise EngineError(f"{self._where} cannot start: {self._words()}") from error
        try:
            plan = file.path.read_bytes()
        except OSError as error:
            raise EngineDamaged(f"{file.path} cannot be read: {error.strerror}") from error
        self._engine = self._runtime.deserialize_cuda_engine(plan)
        if self._engine is None:
            if "memory" in self._words().lower():
                raise EngineError(
                    f"{self._where} cannot load this engine: {self._words()}; stop what else uses "
                    "the GPU"
                )
            raise EngineDamaged(f"{self._where} refuses this engine: {self._words()}")
        self._check(*file.size)
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise EngineError(
                f"{self._where} cannot make room to run: {self._words()}; stop what else uses the "
                "GPU, or build with a smaller workspace"
            )

    def bind(self, addresses: Mapping[str, int]) -> None:
        """Say where the tensors lie, once for all runs."""
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise EngineError(f"{self._where} refuses the address of {name}: {self._words()}")

    def enqueue(self, stream: int) -> None:
        """Enqueue one inference."""
        self._errors.clear()
        if not self._context.execute_async_v3(stream):
            raise EngineError(f"{self._where} failed: {self._words()}")

    def why_no_capture(self, stream: int) -> str:
        """Return why the work cannot be captured, "" where nothing is known against it."""
        capturable = getattr(self._context, "is_stream_capturable", None)
        if capturable is None or capturable(stream):
            return ""
        return f"{self._where}: the work cannot be captured"

    def close(self) -> None:
        """Release context, engine and runtime, in this order."""
        self._context = None
        self._engine = None
        self._runtime = None

    def _check(self, height: int, width: int) -> None:
        image, answer = (1, height, width, 3), (1, height, width)
        expected = {
            "left": ("INPUT", "UINT8", image),
            "right": ("INPUT", "UINT8", image),
            "disparity": ("OUTPUT", "FLOAT", answer),
            "confidence": ("OUTPUT", "FLOAT", answer),
        }
        found = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            mode, kind = self._engine.get_tensor_mode(name), self._engine.get_tensor_dtype(name)
            found[name] = (mode.name, kind.name, tuple(self._engine.get_tensor_shape(name)))
        if found != expected:
            raise EngineDamaged(
                f"{self._where}: breaks the graph contract: its tensors are {found}"
            )

    def _log(self, severity: str, message: str) -> None:
        if severity in ("ERROR", "INTERNAL_ERROR"):
            self._errors.append(message.strip())

    def _words(self) -> str:
        return "; ".join(self._errors) or "it does not say why"
