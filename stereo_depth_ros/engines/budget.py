"""The most accurate of several models that is fast enough on this device, by measurement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from stereo_depth_ros.engines.base import Engine, EngineError, Run, run_here
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.self_test import rendered_pair
from stereo_depth_ros.model_card import ModelError, load_model_card

_LOG = logging.getLogger(__name__)
_ROUNDS, _LEAST_ROUNDS = 20, 3
_ENOUGH_S = 2.0
_ANY_SIZE = (480, 640)


def by_accuracy(models: Sequence[str]) -> list[str]:
    """Return ``models`` with the most accurate first.

    By the EPE that their cards give, where all give one that was measured on the same; else they
    are taken to be in this order already.

    Raises
    ------
    ModelError
        When one of them is unknown.
    """
    measured = {model: load_model_card(model).measured for model in models}
    on = {str(found.get("on")) for found in measured.values()}
    errors = {model: found.get("epe") for model, found in measured.items()}
    if len(on) > 1 or not all(isinstance(error, (int, float)) for error in errors.values()):
        return list(models)
    return sorted(models, key=lambda model: errors[model] or 0.0)


def latency_ms(engine: Engine, run: Run = run_here) -> float:
    """Return the time in ms within which 95 of 100 inferences of a rendered pair end.

    Each inference is given to ``run`` by itself, so that others find time between them.
    """
    spec = engine.spec
    size = _ANY_SIZE if spec.height is None or spec.width is None else (spec.height, spec.width)
    once = partial(_seconds, engine, *rendered_pair(*size))
    run(once)
    found: list[float] = []
    while len(found) < _LEAST_ROUNDS or (len(found) < _ROUNDS and sum(found) < _ENOUGH_S):
        found.append(run(once))
    return 1e3 * float(np.percentile(found, 95))


def open_within(
    budget_ms: float,
    models: Sequence[str],
    open_one: Callable[[str], Engine],
    run: Run = run_here,
) -> Engine:
    """Open the first of ``models`` (see `by_accuracy`) whose `latency_ms` is within the budget.

    Where none is, the fastest is taken. What was measured is logged and in the provenance. A model
    that cannot be opened is logged and passed over.

    Raises
    ------
    BuildCancelled
        When a build was.
    EngineError
        When none can be opened.
    """
    best: Engine | None = None
    best_ms = float("inf")
    found: list[str] = []
    for model in models:
        try:
            engine, took = _measured(open_one, model, run)
        except BuildCancelled:
            if best is not None:
                run(best.close)
            raise
        except (EngineError, ModelError) as error:
            found.append(f"{model}: {error}")
            _LOG.warning("%s", found[-1])
            continue
        found.append(f"{model}: {took:.1f} ms")
        _LOG.info("%s, of %g ms allowed, on %s", found[-1], budget_ms, engine.spec.device)
        best, best_ms, other = (engine, took, best) if took < best_ms else (best, best_ms, engine)
        if other is not None:
            run(other.close)
        if took <= budget_ms:
            break
    if best is None:
        raise EngineError(f"no model can be opened: {'. '.join(found)}")
    if best_ms > budget_ms:
        why = f"the fastest, as none keeps the {budget_ms:g} ms"
        _LOG.warning("%s is %s", best.spec.name, why)
    else:
        why = f"the most accurate within {budget_ms:g} ms"
    provenance = f"{best.spec.provenance}; {why}: {', '.join(found)}"
    best.spec = replace(best.spec, provenance=provenance)
    return best


def _measured(open_one: Callable[[str], Engine], model: str, run: Run) -> tuple[Engine, float]:
    engine = open_one(model)
    try:
        return engine, latency_ms(engine, run)
    except EngineError:
        run(engine.close)
        raise


def _seconds(engine: Engine, left: np.ndarray, right: np.ndarray) -> float:
    began = time.perf_counter()
    engine.infer(left, right)
    return time.perf_counter() - began
