"""The most accurate of several models that is fast enough on this device, by measurement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial

import numpy as np

from stereo_depth_ros.engines.base import (
    Engine,
    EngineError,
    EngineLostError,
    RunInThread,
    run_here,
)
from stereo_depth_ros.engines.default_model import name_of
from stereo_depth_ros.engines.described import DescribedEngine
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.self_test import render_test_pair
from stereo_depth_ros.graph_contract import USUAL_SIZE
from stereo_depth_ros.model_card import ModelError

_LOG = logging.getLogger(__name__)
_ROUNDS, _LEAST_ROUNDS = 20, 3
_ENOUGH_S = 2.0


def measure_latency_ms(
    engine: Engine, run: RunInThread = run_here, any_size: tuple[int, int] = USUAL_SIZE
) -> float:
    """Return the time in ms within which 95 of 100 inferences of a rendered pair end.

    An engine that takes any size is given pairs of ``any_size``, height and width in px.
    Each inference is given to ``run`` by itself, so that others find time between them.
    """
    spec = engine.spec
    size = any_size if spec.height is None or spec.width is None else (spec.height, spec.width)
    once = partial(_seconds, engine, *render_test_pair(*size))
    run(once)
    seconds: list[float] = []
    while len(seconds) < _LEAST_ROUNDS or (len(seconds) < _ROUNDS and sum(seconds) < _ENOUGH_S):
        seconds.append(run(once))
    return 1e3 * float(np.percentile(seconds, 95))


def no_guard(engine: Engine) -> AbstractContextManager[None]:
    """Measure ``engine`` whatever else runs beside it."""
    return nullcontext()


def open_within(
    budget_ms: float,
    models: Sequence[str],
    open_one: Callable[[str], Engine],
    run: RunInThread = run_here,
    alone: Callable[[Engine], AbstractContextManager[None]] = no_guard,
    any_size: tuple[int, int] | None = None,
) -> Engine:
    """Open the first of ``models`` whose `measure_latency_ms` is within the budget.

    Where none is, the fastest is taken. What was measured is logged and in the provenance. A model
    that cannot be opened is logged and passed over. One engine is open at a time, as two may not
    fit the memory of a GPU; each is measured within ``alone`` of it, and with pairs of ``any_size``
    (height, width) px if it takes any.

    Raises
    ------
    BuildCancelled
        When a build was.
    EngineLostError
        When one of them loses the GPU.
    EngineError
        When none can be opened, or not the fastest once more.
    """
    timings: dict[str, float] = {}
    notes: list[str] = []
    degraded = ""
    opened: tuple[str, Engine] | None = None
    for model in models:
        if opened is not None:
            run(opened[1].close)
            opened = None
        try:
            engine = open_one(model)
            timings[model] = _measure(engine, run, alone, any_size or USUAL_SIZE)
        except (BuildCancelled, EngineLostError):
            raise
        except (EngineError, ModelError, OSError) as error:
            notes.append(f"{model}: {error}")
            _LOG.warning("%s", notes[-1])
            continue
        opened = model, engine
        degraded = degraded or engine.spec.degraded
        notes.append(f"{name_of(model, engine)}: {timings[model]:.1f} ms")
        _LOG.info("%s, of %g ms allowed, on %s", notes[-1], budget_ms, engine.spec.device)
        if timings[model] <= budget_ms:
            break
    if not timings:
        raise EngineError(f"no model can be opened: {'. '.join(notes)}")
    fastest = min(timings, key=timings.__getitem__)
    if opened is not None and opened[0] == fastest:
        engine = opened[1]
    else:
        if opened is not None:
            run(opened[1].close)
        engine = open_one(fastest)
    spec = engine.spec
    reason = f"the most accurate within {budget_ms:g} ms"
    if timings[fastest] > budget_ms:
        reason = f"the fastest, as none keeps the {budget_ms:g} ms"
        _LOG.warning("%s is %s", spec.name, reason)
    return DescribedEngine(
        engine,
        reason=f"{reason}: {', '.join(notes)}",
        degraded=degraded if spec.device == "CPU" else "",
    )


def _measure(
    engine: Engine,
    run: RunInThread,
    alone: Callable[[Engine], AbstractContextManager[None]],
    any_size: tuple[int, int],
) -> float:
    try:
        with alone(engine):
            return measure_latency_ms(engine, run, any_size)
    except BaseException:
        run(engine.close)
        raise


def _seconds(engine: Engine, left: np.ndarray, right: np.ndarray) -> float:
    began = time.perf_counter()
    engine.infer(left, right)
    return time.perf_counter() - began
