"""What every backend offers: the ways in which it can run a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from stereo_depth_ros.artifact import Artifact
from stereo_depth_ros.engines.base import Engine, RunInThread, run_here
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import ProgressCallback, ignore_progress

BUDGET_MS = 100.0
"""Time of an inference that ``auto`` allows where nobody names one: 10 pairs per second."""


@dataclass(frozen=True)
class Context:
    """How, where and for whom engines are opened.

    Attributes
    ----------
    run
        Runs things in the thread that is to own the engine.
    report
        Is given the progress of a build, in the calling thread.
    cancelled
        Stops a build.
    gpu_only
        Leaves out what "auto" would run on the CPU.
    providers
        Those of ONNX Runtime, as `stereo_depth_ros.engines.providers` reads them.
    threads
        Per operator of ONNX Runtime on the CPU, 0 for all.
    max_disparity
        Search range in px of engines that can change it, 0 leaving the choice to them.
    size
        Height and width in px of the images that are expected, None where nobody knows: graphs for
        any size are made ready for it, and TensorRT builds for it alone.
    awaits_size
        Whether the model is opened again once the size is known: until then TensorRT builds nothing
        of a graph for any size.
    budget_ms
        Longest inference that ``auto`` allows a model to take.
    build, cuda_backend
        For TensorRT, whose engine is built where none is kept, which takes minutes.
    is_backend_given, has_gpu
        Whether the user asked for one backend alone, and whether there is an NVIDIA GPU that
        answers; `stereo_depth_ros.engines.open.open_engine` fills them in.
    """

    run: RunInThread = run_here
    report: ProgressCallback = ignore_progress
    cancelled: threading.Event = field(default_factory=threading.Event)
    gpu_only: bool = False
    providers: tuple[str, ...] = ()
    threads: int = 0
    max_disparity: int = 0
    size: tuple[int, int] | None = None
    awaits_size: bool = False
    budget_ms: float = BUDGET_MS
    build: BuildOptions = field(default_factory=BuildOptions)
    cuda_backend: str = "auto"
    is_backend_given: bool = False
    has_gpu: bool = False


class Way(NamedTuple):
    """One way to run a model: its ``name`` for messages, and what opens the engine."""

    name: str
    open: Callable[[], Engine]


class Backend(Protocol):
    """A module of `stereo_depth_ros.engines` that runs models.

    ``name`` is what users call it, ``engines`` are the values of ``engine`` in model cards that it
    runs, ``options`` what such a card may hold as ``options``; ``needs_file`` says whether it must
    name a file.
    """

    name: str
    engines: frozenset[str]
    options: frozenset[str]
    needs_file: bool

    def ways(self, artifact: Artifact, context: Context) -> Sequence[Way]:
        """Return the ways to run the model here, the best first; its file has been verified.

        Raises
        ------
        EngineError
            When the model can never be run as ``context`` wants it.
        """
        ...
