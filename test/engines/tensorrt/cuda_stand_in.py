"""A GPU made of NumPy: it really holds and moves bytes, as late as a GPU may.

What is enqueued runs when the stream is synchronised, so an answer that is read too early is an old
one. Memory is checked at every use. It can be told to refuse its n-th call.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.cuda import HostMemory

RELEASES = ("free", "free_host", "destroy_stream", "destroy_graph", "close")


class StandInCuda:
    """See `stereo_depth_ros.engines.tensorrt.cuda.Cuda`; ``calls`` is what it was asked for."""

    name = "stand-in 1.0"
    device = "NumPy"

    def __init__(self, integrated: bool = False, refuse: int | None = None) -> None:
        self.integrated = integrated
        self.calls: list[str] = []
        self.held: dict[int, str] = {}
        self._refuse = refuse
        self._refused_calls = 0
        self._thread = threading.get_ident()
        self._memory: dict[int, np.ndarray] = {}
        self._queue: list[Callable[[], None]] = []
        self._recording: list[Callable[[], None]] | None = None
        self._graphs: dict[int, list[Callable[[], None]]] = {}
        self._depth = 0
        self._next = 1

    @property
    def is_recording(self) -> bool:
        return self._recording is not None

    @contextmanager
    def current(self) -> Iterator[None]:
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1

    def allocate(self, size: int) -> int:
        self._called("allocate")
        array = np.full(size, 0xEE, np.uint8)
        return self._hold_memory("device memory", array)

    def free(self, address: int) -> None:
        del self._memory[address]
        self.held.pop(address)
        self._called("free")

    def allocate_host(self, size: int, mapped: bool) -> HostMemory:
        self._called("allocate_host")
        array = np.full(size, 0xDD, np.uint8)
        address = self._hold_memory("host memory", array)
        return HostMemory(array, address if mapped else None, address)

    def free_host(self, memory: HostMemory) -> None:
        del self._memory[memory.owner]
        self.held.pop(memory.owner)
        self._called("free_host")

    def create_stream(self) -> int:
        self._called("create_stream")
        return self._hold("stream")

    def destroy_stream(self, stream: int) -> None:
        assert self.held.pop(stream) == "stream"
        self._called("destroy_stream")

    def upload(self, memory: HostMemory, address: int, stream: int) -> None:
        self._called("upload")
        self.enqueue(stream, lambda: self._copy(memory.owner, address, memory.array.nbytes))

    def download(self, address: int, memory: HostMemory, stream: int) -> None:
        self._called("download")
        self.enqueue(stream, lambda: self._copy(address, memory.owner, memory.array.nbytes))

    def synchronize(self, stream: int) -> None:
        assert self.held[stream] == "stream"
        assert not self.is_recording, "a real stream would fail here"
        queue, self._queue = self._queue, []
        for work in queue:
            work()
        self._called("synchronize")

    def begin_capture(self, stream: int) -> None:
        self._called("begin_capture")
        assert self.held[stream] == "stream"
        self._recording = []

    def end_capture(self, stream: int) -> int:
        recorded, self._recording = self._recording, None
        assert recorded is not None
        self._called("end_capture")
        if not recorded:
            raise EngineError(f"{self.name}: nothing was captured")
        graph = self._hold("graph")
        self._graphs[graph] = recorded
        return graph

    def launch(self, graph: int, stream: int) -> None:
        self._called("launch")
        for work in self._graphs[graph]:
            self.enqueue(stream, work)

    def destroy_graph(self, graph: int) -> None:
        assert self.held.pop(graph) == "graph"
        del self._graphs[graph]
        self._called("destroy_graph")

    def close(self) -> None:
        self._depth += 1  # the one call that comes from outside
        self._called("close")
        self._depth -= 1

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        assert self.held[stream] == "stream"
        (self._queue if self._recording is None else self._recording).append(work)

    def bytes_at(self, address: int, size: int) -> np.ndarray:
        """The memory there, which must be all in one allocation."""
        for start, array in self._memory.items():
            if start <= address and address + size <= start + array.nbytes:
                return array[address - start : address - start + size]
        raise AssertionError("illegal memory access")

    def _copy(self, source: int, target: int, size: int) -> None:
        self.bytes_at(target, size)[:] = self.bytes_at(source, size)

    def _called(self, name: str) -> None:
        assert threading.get_ident() == self._thread, f"{name} from another thread"
        assert self._depth > 0, f"{name} without a current context"
        assert "close" not in self.calls, f"{name} after the end"
        self.calls.append(name)
        if len(self.calls) == self._refuse:
            raise EngineError(f"{self.name}: {name} failed: told to; untell it")

    def _hold(self, kind: str) -> int:
        # Apart from each other, so that no address runs into the next.
        self._next += 1 << 32
        self.held[self._next] = kind
        return self._next

    def _hold_memory(self, kind: str, array: np.ndarray) -> int:
        address = self._hold(kind) & ~0xFF
        self.held[address] = self.held.pop(self._next)
        self._memory[address] = array
        return address
