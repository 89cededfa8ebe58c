"""What the runner asks of CUDA."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np


@dataclass
class HostMemory:
    """Page-locked memory of the CPU.

    Attributes
    ----------
    array
        All of it, uint8.
    address
        Where the GPU sees it, None where that was not asked for.
    owner
        What the back end needs to free it.
    """

    array: np.ndarray
    address: int | None
    owner: Any


class Cuda(Protocol):
    """One GPU, through its primary context, which TensorRT uses too.

    Addresses, streams and graphs are plain integers. All calls come from the thread that opened it,
    and all but ``current`` from inside ``with cuda.current()``. Every call raises `EngineError`
    when the driver refuses, naming what was asked, and `EngineLostError` when it will refuse all
    else in this process.
    """

    name: str
    """Of the back end, with its version."""
    device: str
    """Name of the GPU."""
    integrated: bool
    """Whether GPU and CPU share one memory, as on a Jetson."""

    def current(self) -> AbstractContextManager[None]:
        """Make the context that of the calling thread, for a while."""
        ...

    def allocate(self, size: int) -> int:
        """Return the address of ``size`` bytes on the GPU."""
        ...

    def free(self, address: int) -> None:
        """Free what `allocate` returned."""
        ...

    def allocate_host(self, size: int, mapped: bool) -> HostMemory:
        """Return ``size`` page-locked bytes; ``mapped`` gives the GPU an address for them too."""
        ...

    def free_host(self, memory: HostMemory) -> None:
        """Free what `allocate_host` returned; its array must not be touched any more."""
        ...

    def create_stream(self) -> int:
        """Return a stream that does not wait for the default one."""
        ...

    def destroy_stream(self, stream: int) -> None:
        """Destroy what `create_stream` returned."""
        ...

    def upload(self, memory: HostMemory, address: int, stream: int) -> None:
        """Enqueue a copy of all of ``memory`` to the GPU."""
        ...

    def download(self, address: int, memory: HostMemory, stream: int) -> None:
        """Enqueue a copy from the GPU that fills ``memory``."""
        ...

    def synchronize(self, stream: int) -> None:
        """Wait until all that was enqueued is done."""
        ...

    def begin_capture(self, stream: int) -> None:
        """From here on record what this thread enqueues instead of doing it."""
        ...

    def end_capture(self, stream: int) -> int:
        """End the recording, always, and return it as an executable graph that is not empty."""
        ...

    def launch(self, graph: int, stream: int) -> None:
        """Enqueue all that ``graph`` recorded."""
        ...

    def destroy_graph(self, graph: int) -> None:
        """Destroy what `end_capture` returned."""
        ...

    def close(self) -> None:
        """Let go of the context; everything else has been freed before."""
        ...
