"""What every backend offers: the ways in which it can run a model."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from stereo_depth_ros.engines.base import Engine, Run, run_here
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.progress import Report, ignore_progress
from stereo_depth_ros.model_card import ModelCard


@dataclass(frozen=True)
class Caller:
    """Who opens an engine.

    ``run`` runs things in the thread that is to own it. ``report`` is given the progress of a
    build, in the calling thread, and ``cancelled`` stops it. ``gpu_only`` leaves out what "auto"
    would run on the CPU.
    """

    run: Run = run_here
    report: Report = ignore_progress
    cancelled: threading.Event = field(default_factory=threading.Event)
    gpu_only: bool = False


@dataclass(frozen=True)
class Request:
    """What is to be opened, how, and for whom; see `stereo_depth_ros.engines.open.open_engine`.

    ``is_backend_given`` says whether the user asked for this backend alone, ``has_gpu`` whether
    there is an NVIDIA GPU that answers; ``file`` is that of the card, unaltered.
    """

    model: str
    card: ModelCard
    providers: tuple[str, ...]
    threads: int
    max_disparity: int
    build: BuildOptions
    cuda_backend: str
    caller: Caller
    is_backend_given: bool
    file: Path = Path()
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

    def ways(self, request: Request) -> Sequence[Way]:
        """Return the ways to run the model here, the best first.

        Raises
        ------
        EngineError
            When the request can never be met.
        """
        ...
