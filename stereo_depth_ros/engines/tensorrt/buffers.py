"""Memory of an engine, allocated once: a block for inputs, one for outputs, working memory."""

from __future__ import annotations

from math import prod

import numpy as np

from stereo_depth_ros.engines.tensorrt.cuda import Cuda
from stereo_depth_ros.graph_contract import Layout

_ALIGNMENT = 256
"""What TensorRT and cudaMalloc keep to, in bytes."""


class Block:
    """Tensors side by side, once for the CPU and once for the GPU, so that one copy moves all.

    ``mapped`` lets the GPU work in the memory of the CPU, where nothing has to be copied.
    ``arrays`` are what the CPU sees of each tensor, ``addresses`` where the GPU finds it.
    """

    def __init__(self, cuda: Cuda, layout: Layout, mapped: bool) -> None:
        self._cuda = cuda
        offsets, size = {}, 0
        for name, (shape, kind) in layout.items():
            offsets[name] = size
            size += -(-prod(shape) * np.dtype(kind).itemsize // _ALIGNMENT) * _ALIGNMENT
        self.memory = cuda.allocate_host(size, mapped)
        self._own: int | None = None
        if self.memory.address is None:
            try:
                self._own = cuda.allocate(size)
            except BaseException:
                cuda.free_host(self.memory)
                raise
        base = self._own if self.memory.address is None else self.memory.address
        assert base is not None
        self.addresses = {name: base + offset for name, offset in offsets.items()}
        self.arrays = {
            name: np.ndarray(shape, kind, self.memory.array, offsets[name])
            for name, (shape, kind) in layout.items()
        }

    def upload(self, stream: int) -> None:
        """Enqueue the copy to the GPU, if one is needed."""
        if self._own is not None:
            self._cuda.upload(self.memory, self._own, stream)

    def download(self, stream: int) -> None:
        """Enqueue the copy from the GPU, if one is needed."""
        if self._own is not None:
            self._cuda.download(self._own, self.memory, stream)

    def free(self) -> None:
        """Free both memories; nothing of the block must be touched any more."""
        self.arrays = {}
        try:
            if self._own is not None:
                self._cuda.free(self._own)
        finally:
            self._cuda.free_host(self.memory)


class WorkingMemory:
    """``size`` bytes on the GPU for what lies between inputs and outputs."""

    def __init__(self, cuda: Cuda, size: int) -> None:
        self._cuda = cuda
        # An empty allocation is an error, and an engine of one kernel needs none.
        self.size = max(int(size), _ALIGNMENT)
        self.address = cuda.allocate(self.size)

    def free(self) -> None:
        """Free it; the context that works in it is gone by then."""
        self._cuda.free(self.address)
