"""Choose and open the engine for a model."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from stereo_depth_ros.artifact import Artifact, find_artifact
from stereo_depth_ros.engines.backend import Backend, Context
from stereo_depth_ros.engines.backends import BACKENDS, NAMES
from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError
from stereo_depth_ros.engines.default_model import AUTO, open_auto
from stereo_depth_ros.engines.described import DescribedEngine
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.device import NoGpuError, find_device
from stereo_depth_ros.excerpt import shorten

_MAX_TEXT = 600

_LOG = logging.getLogger(__name__)


def open_engine(
    model: str,
    height: int | None = None,
    width: int | None = None,
    backend: str = "auto",
    context: Context | None = None,
) -> Engine:
    """Open a model, warmed up and ready.

    Parameters
    ----------
    model
        The name of an installed model, or a card, .onnx or .engine file; "auto" is what
        `stereo_depth_ros.engines.default_model` decides.
    height, width
        Size in px that the caller insists on, where given; ``context`` has one that graphs for any
        size follow and others need not have.
    backend
        "auto" takes the first that runs the model here: TensorRT, TensorRT-RTX, ONNX Runtime on
        the GPU, ONNX Runtime on the CPU; each that does not is logged with its reason.
    context
        How, where and for whom it is opened.

    Raises
    ------
    ModelError
        When the model is unknown, missing or altered.
    BuildCancelled
        When ``context`` cancelled it.
    EngineLostError
        When the GPU is lost, which nothing in this process can use after that.
    EngineError
        When its backend is absent, does not fit the model, or the graph breaks the contract.
    """
    if backend not in NAMES:
        raise EngineError(f"backend '{backend}' is not known; known are {', '.join(NAMES)}")
    context = context or Context()
    if height is not None and width is not None:
        context = replace(context, size=(height, width))
    if model == AUTO:

        def open_one(name: str, backend: str) -> Engine:
            return open_engine(name, height, width, backend, context)

        return open_auto(open_one, backend, context)
    context = replace(context, is_backend_given=backend != "auto")
    artifact = find_artifact(model)
    engine = _open_first(artifact, context, _find_backends(artifact, context, backend))
    _check_size(engine, artifact, context, height, width)
    return engine


def _find_backends(artifact: Artifact, context: Context, asked: str) -> list[Backend]:
    """Return what runs the model, of these the one that is ``asked`` for, after a check."""
    card, model = artifact.card, artifact.name
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
    if context.max_disparity and "max_disparity" not in options:
        raise EngineError(
            f"model '{model}': the search range of a graph is fixed when it is exported; set "
            "max_disparity to 0, or export it again"
        )
    return able if asked == "auto" else [b for b in able if b.name == asked]


def _open_first(artifact: Artifact, context: Context, backends: Sequence[Backend]) -> Engine:
    """Return the engine of the first way that works."""
    if any(backend.needs_file for backend in backends):
        artifact.verify_file()
    level = logging.DEBUG if context.gpu_only else logging.WARNING
    refusals, no_gpu = [], ""
    is_choice = len(backends) > 1
    if is_choice:
        try:
            find_device()
            context = replace(context, has_gpu=True)
        except NoGpuError as error:
            _LOG.debug("on the CPU: %s", error)
            no_gpu = str(error)
        except EngineError as error:
            # Nothing else asks the GPU now: where the driver fails TensorRT may crash.
            refusals.append(str(error))
            _LOG.log(level, "the GPU is not used: %s", error)
    ways = [way for backend in backends for way in backend.ways(artifact, context)]
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
        return _describe(engine, artifact, context, is_choice, refusals)
    reasons = ". ".join(refusals) or no_gpu
    raise EngineError(f"{artifact.file or artifact.name}: nothing runs it here: {reasons}")


def _describe(
    engine: Engine, artifact: Artifact, context: Context, is_choice: bool, refusals: Sequence[str]
) -> Engine:
    """Return ``engine`` with its terms, and why it is this one."""
    spec, card = engine.spec, artifact.card
    changes: dict[str, Any] = {
        "name": artifact.name,
        "licence": card.licence or spec.licence,
        "commercial": card.commercial and spec.commercial,
    }
    reasons = ". ".join(refusals)
    if context.is_backend_given:
        reason = "the backend asked for"
    elif not is_choice:
        reason = "the only backend that runs it"
    elif not context.has_gpu and not refusals:
        reason = "the first choice without a GPU"
    else:
        reason = f"the first choice{reasons and f' that works ({reasons})'}"
        if refusals and spec.device == "CPU":
            changes["degraded"] = shorten(reasons, _MAX_TEXT)
    return DescribedEngine(engine, reason=reason, **changes)


def _check_size(
    engine: Engine, artifact: Artifact, context: Context, height: int | None, width: int | None
) -> None:
    spec = engine.spec
    has, asked = (spec.height, spec.width), (height, width)
    if None not in has and None not in asked and has != asked:
        context.run(engine.close)
        raise EngineError(
            f"model '{artifact.name}' takes {spec.width} x {spec.height} images, not "
            f"{width} x {height}; export it at that size"
        )
