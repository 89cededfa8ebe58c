"""Runs a built engine with nothing but the GPU's own time."""

from __future__ import annotations

import logging
import threading
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError, EngineLostError, EngineSpec, Provenance
from stereo_depth_ros.engines.tensorrt.buffers import Block
from stereo_depth_ros.engines.tensorrt.cuda import Cuda, open_cuda
from stereo_depth_ros.engines.tensorrt.engine_file import EngineFile
from stereo_depth_ros.engines.tensorrt.execution import Execution
from stereo_depth_ros.engines.tensorrt.replay import Replay
from stereo_depth_ros.engines.tensorrt.versions import Runtime, find_runtime

_LOG = logging.getLogger(__name__)


class TensorRTEngine:
    """One engine file on one GPU; see `stereo_depth_ros.engines.prior.PriorEngine`.

    ``cuda_backend`` is "auto", "pycuda" or "cuda-python". ``cuda_graph`` False enqueues every frame
    step by step. ``mapped`` says whether the GPU reads images and writes answers in the memory of
    the CPU, None taking what suits the GPU: it does where both share one memory. ``cuda`` and
    ``runtime`` replace what is found here.

    Raises
    ------
    EngineDamaged
        When TensorRT refuses the file, so that building it anew may help.
    EngineLostError
        When the first runs lose the GPU.
    EngineError
        When there is no CUDA or no TensorRT, or too little memory.
    """

    def __init__(
        self,
        file: EngineFile,
        cuda_backend: str = "auto",
        *,
        cuda_graph: bool = True,
        mapped: bool | None = None,
        cuda: Cuda | None = None,
        runtime: Runtime | None = None,
    ) -> None:
        self._thread = threading.get_ident()
        self._inputs: dict[str, np.ndarray] = {}
        self._outputs: dict[str, np.ndarray] = {}
        self._held = ExitStack()
        self._closed = False
        self.takes_prior = file.takes_prior
        self.prior = file.metadata.get("prior", "") if file.takes_prior else ""
        self._no_prior = np.zeros((2, *file.size), np.float32)
        # First CUDA: where there is no GPU, TensorRT may end the process.
        self._cuda = cuda or open_cuda(cuda_backend)
        try:
            runtime = runtime or find_runtime(file.runtime)
            with self._cuda.current():
                description = self._start(file, runtime, cuda_graph, mapped)
            self.spec = self._specify(file, f"{runtime}, {self._cuda.name}, {description}")
        except BaseException:
            self.close()
            raise

    def _specify(self, file: EngineFile, description: str) -> EngineSpec:
        height, width = file.size
        metadata = file.metadata
        return EngineSpec(
            name=metadata["network"],
            backend=file.runtime,
            height=height,
            width=width,
            max_disparity=float(metadata["max_disparity"]),
            precision=file.precision,
            device=self._cuda.device,
            provenance=Provenance(str(file.path), description),
            licence=metadata.get("licence", ""),
            commercial=metadata.get("commercial") != "false",
        )

    def _start(
        self, file: EngineFile, runtime: Runtime, cuda_graph: bool, mapped: bool | None
    ) -> str:
        """Acquire all that is released in reverse by `close`; returns in words how it runs."""
        cuda = self._cuda
        if mapped is None:
            mapped = cuda.integrated
        height, width = file.size
        stream = cuda.create_stream()
        self._held.callback(cuda.destroy_stream, stream)
        inputs = Block(cuda, graph_contract.inputs(height, width, file.takes_prior), mapped)
        self._held.callback(inputs.free)
        inputs.memory.array.fill(0)  # no prior, until there is one
        outputs = Block(cuda, graph_contract.outputs(height, width), mapped)
        self._held.callback(outputs.free)
        execution = Execution(runtime, file, cuda)
        self._held.callback(execution.close)
        execution.bind({**inputs.addresses, **outputs.addresses})
        self._inputs, self._outputs = inputs.arrays, outputs.arrays
        self._replay = Replay(cuda, stream, inputs, outputs, execution.enqueue)
        self._held.callback(self._replay.close)
        reason = self._warm_up(execution, stream) if cuda_graph else "not asked for"
        if reason:
            # Warms up too, and an engine that cannot do even this is none.
            self._replay.run()
        execution.keep_kernels()
        memory = "mapped memory" if mapped else "pinned memory"
        return f"{memory}, {f'no CUDA graph: {reason}' if reason else 'CUDA graph'}"

    def _warm_up(self, execution: Execution, stream: int) -> str:
        """Run once and capture a CUDA graph; returns why there is none, "" where there is."""
        try:
            reason = execution.why_no_capture(stream)
            if not reason:
                self._replay.use_graph()
            return reason
        except EngineLostError:
            raise
        except EngineError as error:
            return str(error)

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`."""
        if self.takes_prior:
            return self.infer_with_prior(left, right, *self._no_prior)
        return self._run((left, right), graph_contract.IMAGES)

    def infer_with_prior(
        self, left: np.ndarray, right: np.ndarray, prior: np.ndarray, prior_confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.prior.PriorEngine.infer_with_prior`."""
        maps = (left, right, prior, prior_confidence)
        return self._run(maps, (*graph_contract.IMAGES, *graph_contract.PRIOR))

    def _run(
        self, maps: Sequence[np.ndarray], names: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        self._check_thread()
        if self._closed:
            raise EngineError(f"{self.spec.name}: the engine is closed")
        for name, values in zip(names, maps, strict=True):
            target = self._inputs[name]
            if values.shape != target.shape[1:] or values.dtype != target.dtype:
                raise EngineError(
                    f"{self.spec.name}: {name} is {values.dtype} {values.shape}, not "
                    f"{target.dtype} {target.shape[1:]}"
                )
            # Straight into page-locked memory, whatever the strides of the image.
            target[0] = values
        with self._cuda.current():
            self._replay.run()
        # A sum of probabilities may be rounded to just above 1.
        confidence = np.clip(self._outputs["confidence"][0], 0, 1)
        return self._outputs["disparity"][0].copy(), confidence

    def close(self) -> None:
        """Release graph, context, engine, memory, stream and CUDA, in this order."""
        if self._closed:
            return
        self._check_thread()
        self._closed = True
        self._inputs = self._outputs = {}
        for release in (self._release, self._cuda.close):
            try:
                release()
            except EngineError as error:
                # A GPU that has failed gives nothing back, and whoever closes can do nothing.
                _LOG.warning("while closing: %s", error)

    def _release(self) -> None:
        with self._cuda.current():
            self._held.close()

    def _check_thread(self) -> None:
        if threading.get_ident() != self._thread:
            raise EngineError("a TensorRT engine belongs to the thread that opened it")
