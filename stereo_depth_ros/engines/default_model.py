"""What the model "auto" stands for; it is decided here alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from stereo_depth_ros.engines import sgbm
from stereo_depth_ros.engines.backend import Context
from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError
from stereo_depth_ros.engines.best_model import find_best
from stereo_depth_ros.engines.described import DescribedEngine
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.device import NoGpuError, find_device
from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.model_card import ModelError

AUTO = "auto"
NETWORK, MATCHER = "lite", "sgbm"
"""The former is the more accurate, the latter runs everywhere."""

_MAX_REASON = 600

_LOG = logging.getLogger(__name__)


def open_auto(open_one: Callable[[str, str], Engine], backend: str, context: Context) -> Engine:
    """Open the best network that runs, else the matcher; the provenance says why.

    ``open_one`` opens a model by its name, on a backend. Of networks the shipped one is taken, or
    what `stereo_depth_ros.engines.best_model.find_best` prefers. The matcher is taken where
    ``backend`` or ``context.max_disparity`` asks for what it alone can do and, with a warning,
    where the network cannot be opened. A ``backend`` that it does not run on, and
    ``context.gpu_only``, rule it out.

    Raises
    ------
    BuildCancelled
        When the build of the network's engine was cancelled.
    EngineLostError
        When the GPU is lost.
    EngineError, ModelError, OSError
        When the network cannot be opened and the matcher is ruled out.
    """
    if backend == sgbm.BACKEND:
        return _open_matcher(open_one, backend, f"backend {backend} runs no networks")
    if context.max_disparity and backend == "auto":
        return _open_matcher(
            open_one, backend, f"max_disparity is set and the search range of {NETWORK} is fixed"
        )
    best, reason = find_best(NETWORK, context.budget_ms)
    for name in dict.fromkeys((best, NETWORK)):
        try:
            return DescribedEngine(open_one(name, backend), reason=reason)
        except (BuildCancelled, EngineLostError):
            raise
        except (EngineError, ModelError, OSError) as error:
            cause = shorten(" ".join(str(error).split()), _MAX_REASON)
            if name != NETWORK:
                reason = f"{name}, which is more accurate, cannot be opened: {cause}"
                _LOG.warning("%s", reason)
            elif context.gpu_only or backend != "auto":
                raise
    reason = f"{NETWORK}, which is more accurate, cannot be opened: {cause}"
    engine = _open_matcher(open_one, backend, reason, degraded=cause if _has_gpu() else "")
    _LOG.warning("%s", _explain_choice(reason))
    return engine


def graph_of(model: str) -> str:
    """Return ``model``, for "auto" the network that it prefers, which can be built."""
    return find_best(NETWORK)[0] if model == AUTO else model


def name_of(model: str, engine: Engine) -> str:
    """Return ``model``, for "auto" the name of the one that ``engine`` runs."""
    return engine.spec.name if model == AUTO else model


def _open_matcher(
    open_one: Callable[[str, str], Engine], backend: str, reason: str, **changes: Any
) -> Engine:
    return DescribedEngine(open_one(MATCHER, backend), reason=_explain_choice(reason), **changes)


def _explain_choice(reason: str) -> str:
    return f"model {AUTO} is {MATCHER} here, as {reason}"


def _has_gpu() -> bool:
    try:
        find_device()
    except NoGpuError:
        return False
    except EngineError:
        pass  # there is one, which does not work
    return True
