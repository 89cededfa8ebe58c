"""Opens engines without keeping anybody waiting for a build."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from stereo_depth_ros.engines.backend import BUDGET_MS, Context
from stereo_depth_ros.engines.base import Engine, EngineLostError, RunInThread
from stereo_depth_ros.engines.swap import SwappableEngine
from stereo_depth_ros.engines.tensorrt import BuildCancelled, BuildProgress

Opener = Callable[[Context], Engine]

_LOG = logging.getLogger(__name__)
_TELL_S = 30.0
RETRY_S = 30.0
"""After which the GPU is tried once more: a driver may start late, another process end."""


class EngineLoader:
    """Loads the requested engine into ``engine``, and serves the fallback while it is being built.

    ``run`` runs things in the thread that owns the engines, which must not be the one that calls
    `start` and `close`. ``progress`` is that of the build that is going on, ``error`` says why
    there is no engine, or not the one that was wanted, ``lost`` why only a new process can open
    one; each None otherwise.
    """

    def __init__(self, run: RunInThread) -> None:
        self.progress: BuildProgress | None = None
        self.engine = SwappableEngine(lambda: self.progress is not None)
        self.error: str | None = None
        self.lost: EngineLostError | None = None
        self._run = run
        self._cancelled = threading.Event()
        self._settled = threading.Event()
        self._failure: Exception | None = None
        self._thread: threading.Thread | None = None
        self._opener: Opener | None = None
        self._size: tuple[int, int] | None = None
        self._budget_ms = BUDGET_MS

    def start(self, opener: Opener, fallback: Opener | None = None) -> None:
        """Open ``opener``; returns when it is open or its build has begun.

        In the latter case ``fallback`` follows, and the swap when the build is done. What ends on
        the CPU although there is a GPU, without a build, is tried once more after `RETRY_S`.

        Raises
        ------
        Exception
            What ``opener`` raised before any build began, save what becomes ``lost``.
        """
        self._opener = opener
        self._begin(opener, fallback)
        self._settled.wait()
        if self._failure is not None:
            raise self._failure

    def fit(self, size: tuple[int, int], budget_ms: float = BUDGET_MS) -> None:
        """Open the model once more for images of ``size`` (height, width) px, in the background.

        What "auto" then takes has ``budget_ms`` a pair. The engine of the moment serves until then.
        Nothing is done while another is being opened, nor for the size that was given last.
        """
        is_opening = self._thread is not None and self._thread.is_alive()
        if self._opener is not None and size != self._size and not is_opening:
            self._size, self._budget_ms = size, budget_ms
            self._begin(self._opener, None)

    def _begin(self, opener: Opener, fallback: Opener | None) -> None:
        self._thread = threading.Thread(
            target=self._load, args=(opener, fallback), name="engine loader", daemon=True
        )
        self._thread.start()

    def _context(self, **settings: Any) -> Context:
        return Context(
            self._run,
            cancelled=self._cancelled,
            size=self._size,
            awaits_size=self._size is None,
            budget_ms=self._budget_ms,
            **settings,
        )

    def cancel(self, timeout: float | None = None) -> None:
        """Stop a build that is going on; returns when its process is gone, or after ``timeout`` s.

        What was opened stays open.
        """
        self._cancelled.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def close(self) -> None:
        """Stop a build that is going on and close the engine."""
        self.cancel()
        self._run(self.engine.close)

    def _load(self, opener: Opener, fallback: Opener | None) -> None:
        began = told = time.monotonic()
        has_built = False

        def report(progress: BuildProgress) -> None:
            nonlocal told, has_built
            has_built |= progress.has_begun
            self.progress = progress
            now = time.monotonic()
            if not self._settled.is_set():
                _LOG.info("TensorRT engine: %s; this takes minutes, once", progress.step)
                # First, as opening the fallback runs it once, which may take long on a CPU.
                self._settled.set()
                self._fall_back(fallback)
            elif now - told > _TELL_S:
                told = now
                _LOG.info("TensorRT engine: %s", progress)

        try:
            engine = opener(self._context(report=report))
            self._serve(engine, began)
            self.error = None
            is_waiting = engine.spec.sizes is not None and self._size is None
            # What failed in a build would fail again, after as long.
            retry = bool(engine.spec.degraded) and not has_built and not is_waiting
            self.progress = None
            self._settled.set()
            if retry and not self._cancelled.wait(RETRY_S):
                self._retry(opener, report)
        except BuildCancelled:
            _LOG.info("TensorRT engine: the build was stopped")
        except EngineLostError as error:
            self.lost = error
        except Exception as error:
            if self._settled.is_set():
                self.error = str(error)
                _LOG.error("%s", error)
            else:
                self._failure = error
        finally:
            self.progress = None
            self._settled.set()

    def _retry(self, opener: Opener, report: Callable[[BuildProgress], None]) -> None:
        began = time.monotonic()
        try:
            engine = opener(self._context(report=report, gpu_only=True))
        except (BuildCancelled, EngineLostError):
            raise
        except Exception as error:
            _LOG.warning("the GPU is still not used: %s", error)
            return
        if engine.spec.device == "CPU":
            self._run(engine.close)
        else:
            self._serve(engine, began)

    def _fall_back(self, fallback: Opener | None) -> None:
        if fallback is None:
            _LOG.warning("nothing is published until it is built")
            return
        began = time.monotonic()
        try:
            self._serve(fallback(self._context()), began)
        except EngineLostError:
            raise
        except Exception as error:
            _LOG.warning("nothing is published until it is built: %s", error)

    def _serve(self, engine: Engine, began: float) -> None:
        spec = engine.spec
        self._run(partial(self.engine.swap, engine))
        _LOG.info("engine: %s; loaded in %.1f s", spec, time.monotonic() - began)
        if not spec.commercial:
            _LOG.warning(
                "%s: its licence (%s) does not allow commercial use", spec.name, spec.licence
            )
