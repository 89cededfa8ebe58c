"""Choose and open the engine for a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stereo_depth_ros.engines.backend import Backend, Caller, Request
from stereo_depth_ros.engines.backends import BACKENDS, NAMES
from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError
from stereo_depth_ros.engines.default_model import AUTO, open_auto
from stereo_depth_ros.engines.tensorrt import BuildCancelled, BuildOptions
from stereo_depth_ros.engines.tensorrt.device import NoGpuError, find_device
from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.model_card import load_model_card

_MAX_TEXT = 600

_LOG = logging.getLogger(__name__)


def open_engine(
    model: str,
    height: int | None = None,
    width: int | None = None,
    backend: str = "auto",
    providers: Sequence[str] = (),
    threads: int = 0,
    max_disparity: int = 0,
    *,
    build: BuildOptions | None = None,
    cuda_backend: str = "auto",
    caller: Caller | None = None,
) -> Engine:
    """Open ``model`` (a name in models/, a card, an .onnx or .engine file), warmed up and ready.

    ``model`` "auto" is what `stereo_depth_ros.engines.default_model` decides. ``height`` and
    ``width``, where given, are the size the caller insists on. ``backend`` "auto" takes the first
    that runs the model here: TensorRT, TensorRT-RTX, ONNX Runtime on the GPU, ONNX Runtime on the
    CPU; each that does not is logged with its reason. ``providers`` and ``threads`` are for ONNX
    Runtime; ``max_disparity`` in px is for engines that can change it, 0 leaving the choice to
    them. ``build`` and ``cuda_backend`` are for TensorRT, whose engine is built where none is kept,
    which takes minutes.

    Raises
    ------
    ModelError
        When the model is unknown, missing or altered.
    BuildCancelled
        When ``caller`` cancelled it.
    EngineLostError
        When the GPU is lost, which nothing in this process can use after that.
    EngineError
        When its backend is absent, does not fit the model, or the graph breaks the contract.
    """
    if backend not in NAMES:
        raise EngineError(f"backend '{backend}' is not known; known are {', '.join(NAMES)}")
    caller = caller or Caller()
    if model == AUTO:
        open_one = partial(
            open_engine,
            height=height,
            width=width,
            providers=providers,
            threads=threads,
            max_disparity=max_disparity,
            build=build,
            cuda_backend=cuda_backend,
            caller=caller,
        )
        return open_auto(open_one, backend, max_disparity, caller.gpu_only)
    request = Request(
        model,
        load_model_card(model),
        tuple(providers),
        threads,
        max_disparity,
        build or BuildOptions(),
        cuda_backend,
        caller,
        is_backend_given=backend != "auto",
    )
    engine, reason = _open_first(request, _find_backends(request, backend))
    _state_facts(engine, request, reason)
    _check_size(engine, request, height, width)
    return engine


def _find_backends(request: Request, asked: str) -> list[Backend]:
    """Return what runs the model, of these the one that is ``asked`` for, after a check."""
    card, model = request.card, request.model
    able = [backend for backend in BACKENDS if card.engine in backend.engines]
    if not able:
        *others, last = sorted({engine for backend in BACKENDS for engine in backend.engines})
        raise EngineError(
            f"model '{model}': its card names engine '{card.engine}'; known are "
            f"{', '.join(others)} and {last}"
        )
    options = frozenset().union(*(backend.options for backend in able))
    unknown = set(card.options) - options
    if unknown:
        raise EngineError(
            f"model '{model}': its card has unknown options {', '.join(sorted(unknown))}; known "
            f"are {', '.join(sorted(options)) or 'none'}"
        )
    if card.prior and card.engine != "onnx":
        raise EngineError(
            f"model '{model}': its card asks for a prior, which only graphs take, engine: onnx"
        )
    names = [backend.name for backend in able]
    if asked not in ("auto", *names):
        raise EngineError(
            f"model '{model}' runs on backend {' or '.join(names)}, not {asked}; set backend to "
            "auto"
        )
    if request.max_disparity and "max_disparity" not in options:
        raise EngineError(
            f"model '{model}': the search range of a graph is fixed when it is exported; set "
            "max_disparity to 0, or export it again"
        )
    return able if asked == "auto" else [b for b in able if b.name == asked]


def _open_first(request: Request, backends: Sequence[Backend]) -> tuple[Engine, str]:
    """Return the engine of the first way that works, and why it is this one."""
    if any(backend.needs_file for backend in backends):
        request = replace(request, file=request.card.verify_file())
    level = logging.DEBUG if request.caller.gpu_only else logging.WARNING
    refusals = []
    is_choice = len(backends) > 1
    if is_choice:
        try:
            find_device()
            request = replace(request, has_gpu=True)
        except NoGpuError as error:
            _LOG.debug("on the CPU: %s", error)
        except EngineError as error:
            # Nothing else asks the GPU now: where the driver fails TensorRT may crash.
            refusals.append(str(error))
            _LOG.log(level, "the GPU is not used: %s", error)
    ways = [way for backend in backends for way in backend.ways(request)]
    for name, open_way in ways:
        try:
            engine = open_way()
        except (BuildCancelled, EngineLostError):
            raise
        except (EngineError, OSError) as error:
            if len(ways) == 1:
                raise
            refusals.append(f"{name}: {error}")
            _LOG.log(level, "%s is not used: %s", name, error)
            continue
        if request.is_backend_given:
            return engine, "the backend asked for"
        if not is_choice:
            return engine, "the only backend that runs it"
        if not request.has_gpu and not refusals:
            return engine, "the first choice without a GPU"
        reasons = ". ".join(refusals)
        if refusals and engine.spec.device == "CPU":
            engine.spec = replace(engine.spec, degraded=shorten(reasons, _MAX_TEXT))
        return engine, f"the first choice{reasons and f' that works ({reasons})'}"
    raise EngineError(f"{request.file}: nothing runs it here: {'. '.join(refusals)}")


def _state_facts(engine: Engine, request: Request, reason: str) -> None:
    spec, card = engine.spec, request.card
    engine.spec = replace(
        spec,
        provenance=f"{spec.provenance}; {reason}",
        licence=card.licence or spec.licence,
        commercial=card.commercial and spec.commercial,
    )


def _check_size(engine: Engine, request: Request, height: int | None, width: int | None) -> None:
    spec = engine.spec
    has, asked = (spec.height, spec.width), (height, width)
    if None not in has and None not in asked and has != asked:
        request.caller.run(engine.close)
        raise EngineError(
            f"model '{request.model}' takes {spec.width} x {spec.height} images, not "
            f"{width} x {height}; export it at that size"
        )
