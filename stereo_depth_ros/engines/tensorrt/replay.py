"""One inference on a stream, enqueued step by step or as a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import numpy as np

from stereo_depth_ros.engines.base import EngineError
from stereo_depth_ros.engines.tensorrt.buffers import Block
from stereo_depth_ros.engines.tensorrt.cuda import Cuda
from stereo_depth_ros.graph_contract import IMAGES

_TOLERANCE = 1e-2
_LEAST_EQUAL = 0.99


class Replay:
    """Uploads ``inputs``, calls ``execute`` to enqueue the engine, downloads ``outputs``.

    A CUDA graph does so with one call, where networks have thousands of layers to enqueue. It is
    used once it has shown that it does the same.
    """

    def __init__(
        self,
        cuda: Cuda,
        stream: int,
        inputs: Block,
        outputs: Block,
        execute: Callable[[int], None],
    ) -> None:
        self._cuda, self._stream = cuda, stream
        self._inputs, self._outputs = inputs, outputs
        self._execute = execute
        self._graph: int | None = None

    def run(self) -> None:
        """Infer what lies in ``inputs``, and return when the answer lies in ``outputs``.

        Raises
        ------
        EngineError
            When TensorRT or CUDA fails.
        """
        if self._graph is None:
            self._run_steps()
        else:
            self._run_graph(self._graph)

    def use_graph(self) -> None:
        """Capture a CUDA graph and, if it answers as the steps do, use it from now on.

        Raises
        ------
        EngineError
            When it cannot be had, with the reason; `run` goes on step by step.
        """
        graph = self._capture()
        try:
            self._check(graph)
        except BaseException:
            with suppress(EngineError):
                self._cuda.destroy_graph(graph)
            raise
        self._graph = graph

    def close(self) -> None:
        """Destroy the graph, if there is one, when its last run has ended."""
        try:
            self._cuda.synchronize(self._stream)
        finally:
            if self._graph is not None:
                graph, self._graph = self._graph, None
                self._cuda.destroy_graph(graph)

    def _enqueue(self) -> None:
        self._inputs.upload(self._stream)
        self._execute(self._stream)
        self._outputs.download(self._stream)

    def _run_steps(self) -> None:
        try:
            self._enqueue()
        finally:
            # Also after a failure: the next pair must not overwrite what is being copied.
            self._cuda.synchronize(self._stream)

    def _run_graph(self, graph: int) -> None:
        self._cuda.launch(graph, self._stream)
        self._cuda.synchronize(self._stream)

    def _capture(self) -> int:
        # The first run does what TensorRT has put off, none of which may be captured.
        self._run_steps()
        self._cuda.begin_capture(self._stream)
        try:
            self._enqueue()
        except BaseException:
            # The stream is of no use before the capture has ended.
            with suppress(EngineError):
                self._cuda.destroy_graph(self._cuda.end_capture(self._stream))
            raise
        return self._cuda.end_capture(self._stream)

    def _check(self, graph: int) -> None:
        """Compare graph and steps on a pair, with nothing left over for an empty graph to find."""
        random = np.random.default_rng(0)
        left, right = (self._inputs.arrays[name] for name in IMAGES)
        one, other = random.integers(0, 256, (2, *left.shape), dtype=np.uint8)

        def show(texture: np.ndarray, disparity: int) -> None:
            left[...], right[...] = texture, np.roll(texture, -disparity, axis=-2)

        show(one, 4)
        self._run_steps()
        expected = {name: array.copy() for name, array in self._outputs.arrays.items()}
        show(other, 1)
        self._run_steps()
        show(one, 4)
        self._outputs.memory.array.fill(0xFF)  # NaN
        self._run_graph(graph)
        for name, values in expected.items():
            replayed = self._outputs.arrays[name]
            equal = np.isclose(replayed, values, _TOLERANCE, _TOLERANCE, equal_nan=True).mean()
            if equal < _LEAST_EQUAL:
                raise EngineError(f"only {100 * equal:.0f} % of its {name} is that of the engine")
