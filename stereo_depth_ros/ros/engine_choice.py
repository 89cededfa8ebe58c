"""From parameters to engines: the chosen one, and the one that serves until that is built."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from stereo_depth_ros.artifact import find_artifact, list_added
from stereo_depth_ros.engines import Engine, EngineError, EngineLostError, open_engine
from stereo_depth_ros.engines.backend import Context
from stereo_depth_ros.engines.best_model import compare_with, sort_by_accuracy
from stereo_depth_ros.engines.budget import open_within
from stereo_depth_ros.engines.default_model import AUTO, MATCHER, NETWORK, graph_of
from stereo_depth_ros.engines.loader import Opener
from stereo_depth_ros.engines.onnxruntime import BACKEND as ONNXRUNTIME
from stereo_depth_ros.engines.sgbm import BACKEND as OPENCV
from stereo_depth_ros.engines.tensorrt import BuildCancelled, BuildOptions, BuildProgress
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.engines.tensorrt.versions import MODULES

_LOG = logging.getLogger(__name__)


def choose_engine(values: Mapping[str, Any]) -> tuple[Opener, Opener | None]:
    """Return what opens the engine of parameter ``values``, and what opens a fallback, if any.

    Raises
    ------
    ValueError
        When values contradict each other, or one of several models is unknown.
    """
    level = values["build_level"]
    options = {
        "providers": tuple(_split(values["providers"])),
        "threads": values["threads"],
        "max_disparity": values["max_disparity"],
        "build": BuildOptions(
            values["precision"], values["build_workspace_mb"], None if level < 0 else level
        ),
        "cuda_backend": values["cuda_backend"],
    }
    budget_ms, models = values["latency_budget_ms"], _split(values["models"])
    if models and not budget_ms:
        raise ValueError(
            "models takes effect only with latency_budget_ms, which is 0; set it, or name one "
            "model in model"
        )
    if not budget_ms:
        models = [values["model"]]
    elif models:
        models = sort_by_accuracy([graph_of(model) for model in models])
    elif values["model"] == AUTO:
        shipped = [NETWORK, MATCHER]
        models = list(compare_with(NETWORK, [*shipped, *list_added()])) or shipped
    else:
        raise ValueError(
            "latency_budget_ms chooses among models, which is empty; list some, or set model to "
            f"{AUTO}"
        )

    def open_one(model: str, context: Context, backend: str = values["backend"]) -> Engine:
        return open_engine(model, backend=backend, context=replace(context, **options))

    def open_chosen(context: Context) -> Engine:
        if not budget_ms:
            return open_one(models[0], context)

        def open_next(model: str) -> Engine:
            # With engines that are kept, nothing else would notice.
            if context.cancelled.is_set():
                raise BuildCancelled("cancelled")
            return open_one(model, context)

        return open_within(
            budget_ms,
            models,
            open_next,
            context.run,
            partial(_exclude_others, context),
            context.size,
        )

    def open_fallback(context: Context) -> Engine:
        if _shares_memory():
            _LOG.info(
                "sgbm serves until the engine is built, as a graph on the CPU would take memory "
                "from the build; set build_fallback to false to publish nothing instead"
            )
            return open_one("sgbm", context, OPENCV)
        # The least accurate is most likely the fastest. On the CPU, unless providers name the
        # GPU: it would spoil the timings by which the build chooses its kernels.
        named = map(graph_of, models)
        graphs = [model for model in named if find_artifact(model).card.engine == "onnx"]
        return open_one(graphs[-1], context, ONNXRUNTIME)

    return open_chosen, open_fallback if values["build_fallback"] else None


@contextmanager
def _exclude_others(context: Context, engine: Engine) -> Iterator[None]:
    """Keep builds, and what other nodes measure, off the GPU while ``engine`` is measured there."""
    waiting = BuildProgress(None, 0.0, "waiting for another build before the engine is timed")
    with ExitStack() as held:
        if engine.spec.backend in MODULES:
            try:
                lock = EngineCache().lock(context.cancelled, lambda: context.report(waiting))
                held.enter_context(lock)
            except (BuildCancelled, EngineLostError):
                raise
            except (EngineError, OSError) as error:
                # A cache that can only be read has no lock, and nobody builds into it.
                _LOG.debug("timed without the lock: %s", error)
        yield


def _shares_memory() -> bool:
    """Return whether the GPU works in the memory of the CPU, as on a Jetson."""
    try:
        return find_device().integrated
    except EngineError:
        return False


def _split(text: str) -> list[str]:
    return [word.strip() for word in text.split(",") if word.strip()]
