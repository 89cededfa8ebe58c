"""Choose and open the engine for a model."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from stereo_depth_ros.engines import onnxruntime, sgbm
from stereo_depth_ros.engines.base import Engine, EngineError, EngineLostError, Run, run_here
from stereo_depth_ros.engines.default_model import AUTO, open_auto
from stereo_depth_ros.engines.prior import check_prior, with_prior
from stereo_depth_ros.engines.tensorrt import BuildCancelled, BuildOptions, open_obtained
from stereo_depth_ros.engines.tensorrt.device import NoGpuError, find_device
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.obtain import this_host
from stereo_depth_ros.engines.tensorrt.prebuilt import open_prebuilt
from stereo_depth_ros.engines.tensorrt.progress import Report, unreported
from stereo_depth_ros.engines.tensorrt.versions import MODULES
from stereo_depth_ros.excerpt import shorten
from stereo_depth_ros.model_card import ModelCard, load_model_card

TENSORRT = "tensorrt"
BACKENDS = ("auto", TENSORRT, onnxruntime.BACKEND, sgbm.BACKEND)

_MAX_TEXT = 600

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Caller:
    """Who opens an engine.

    ``run`` runs things in the thread that is to own it. ``report`` hears of a build, from the
    calling thread, and ``cancelled`` stops it. ``gpu_only`` leaves out what "auto" would run on the
    CPU.
    """

    run: Run = run_here
    report: Report = unreported
    cancelled: threading.Event = field(default_factory=threading.Event)
    gpu_only: bool = False


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
    if backend not in BACKENDS:
        raise EngineError(f"backend '{backend}' is not known; known are {', '.join(BACKENDS)}")
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
    card = load_model_card(model)
    known_options = {"mode", "max_disparity"} if card.engine == "sgbm" else set()
    unknown = set(card.options) - known_options
    if unknown:
        raise EngineError(
            f"model '{model}': its card has unknown options {', '.join(sorted(unknown))}; known "
            f"are {', '.join(sorted(known_options)) or 'none'}"
        )
    if card.prior and card.engine != "onnx":
        raise EngineError(
            f"model '{model}': its card asks for a prior, which only graphs take, engine: onnx"
        )
    if card.engine == "sgbm":
        _require(backend, (sgbm.BACKEND,), model)
        if caller.gpu_only:
            raise EngineError(f"model '{model}' runs on the CPU alone")
        options = dict(card.options)
        if max_disparity:
            options["max_disparity"] = max_disparity
        engine: Engine = sgbm.SgbmEngine(card.name, **options)
        why = "the only backend that runs it" if backend == "auto" else "the backend asked for"
    elif card.engine == "onnx":
        _require(backend, (TENSORRT, onnxruntime.BACKEND), model)
        if max_disparity:
            raise EngineError(
                f"model '{model}': the search range of a graph is fixed when it is exported; set "
                "max_disparity to 0, or export it again"
            )
        ways = _Ways(
            card.verified_file(),
            card.prior,
            tuple(providers),
            threads,
            build or BuildOptions(),
            cuda_backend,
            caller,
        )
        engine, why = ways.first(backend)
    elif card.engine == TENSORRT:
        _require(backend, (TENSORRT,), model)
        if max_disparity:
            raise EngineError(f"model '{model}': its search range is fixed; set max_disparity to 0")
        hosts = partial(this_host, cuda_backend)
        prebuilt, file = open_prebuilt(card.verified_file(), hosts, caller.run)
        engine = with_prior(prebuilt, file.path, None)
        why = f"self-test: {file.self_test}; built beforehand"
    else:
        raise EngineError(
            f"model '{model}': its card names engine '{card.engine}'; known are onnx, {TENSORRT} "
            "and sgbm"
        )
    return _checked(engine, card, model, (height, width), why, caller)


def _checked(
    engine: Engine,
    card: ModelCard,
    model: str,
    wanted: tuple[int | None, int | None],
    why: str,
    caller: Caller,
) -> Engine:
    spec = engine.spec
    engine.spec = replace(
        spec,
        provenance=f"{spec.provenance}; {why}",
        licence=card.licence or spec.licence,
        commercial=card.commercial and spec.commercial,
    )
    has = (spec.height, spec.width)
    if None not in wanted and None not in has and wanted != has:
        caller.run(engine.close)
        raise EngineError(
            f"model '{model}' takes {has[1]} x {has[0]} images, not {wanted[1]} x {wanted[0]}; "
            "export it at that size"
        )
    return engine


@dataclass(frozen=True)
class _Ways:
    """The ways to run one graph."""

    graph: Path
    prior: str | None
    providers: tuple[str, ...]
    threads: int
    build: BuildOptions
    cuda_backend: str
    caller: Caller

    def first(self, backend: str) -> tuple[Engine, str]:
        """Return the engine of the first way that works, and why it is this one."""
        has_gpu, refusals = False, []
        level = logging.DEBUG if self.caller.gpu_only else logging.WARNING
        if backend == "auto":
            try:
                find_device()
                has_gpu = True
            except NoGpuError as error:
                _LOG.debug("on the CPU: %s", error)
            except EngineError as error:
                # Nothing else asks the GPU now: where the driver fails TensorRT may crash.
                refusals.append(str(error))
                _LOG.log(level, "the GPU is not used: %s", error)
        ways = self._ordered(backend, has_gpu)
        for name, opener in ways:
            try:
                engine = opener()
            except (BuildCancelled, EngineLostError):
                raise
            except (EngineError, OSError) as error:
                if len(ways) == 1:
                    raise
                refusals.append(f"{name}: {error}")
                _LOG.log(level, "%s is not used: %s", name, error)
                continue
            if backend != "auto":
                return engine, "the backend asked for"
            if not has_gpu and not refusals:
                return engine, "the first choice without a GPU"
            why_not = ". ".join(refusals)
            if refusals and engine.spec.device == "CPU":
                engine.spec = replace(engine.spec, degraded=shorten(why_not, _MAX_TEXT))
            return engine, f"the first choice{why_not and f' that works ({why_not})'}"
        raise EngineError(f"{self.graph}: nothing runs it here: {'. '.join(refusals)}")

    def _ordered(self, backend: str, has_gpu: bool) -> list[tuple[str, Callable[[], Engine]]]:
        ways: list[tuple[str, Callable[[], Engine]]] = []
        if backend == TENSORRT or (backend == "auto" and has_gpu):
            for module, words in MODULES.items():
                ways.append((words, partial(self._tensorrt, module)))
        if backend == TENSORRT:
            return ways
        if backend == "auto" and has_gpu and not self.providers:
            ways.append(("ONNX Runtime on the GPU", partial(self._onnxruntime, ("cuda", "cpu"))))
        if self.providers or not self.caller.gpu_only:
            ways.append(("ONNX Runtime", partial(self._onnxruntime, self.providers)))
        return ways

    def _tensorrt(self, module: str) -> Engine:
        if self.prior:
            check_prior(self.graph, read_graph(self.graph).takes_prior, self.prior)
        host = replace(this_host(self.cuda_backend, module), run=self.caller.run)
        obtained, file = open_obtained(
            self.graph,
            self.build,
            report=self.caller.report,
            cancelled=self.caller.cancelled,
            host=host,
        )
        engine = with_prior(obtained, self.graph, self.prior)
        found = [f"self-test: {file.self_test}", *(f"not in {note}" for note in file.notes)]
        provenance = "; ".join([engine.spec.provenance, *found])
        engine.spec = replace(engine.spec, provenance=provenance)
        return engine

    def _onnxruntime(self, providers: tuple[str, ...]) -> Engine:
        def open_here() -> Engine:
            engine = onnxruntime.OnnxRuntimeEngine(self.graph, providers, self.threads)
            try:
                return with_prior(engine, self.graph, self.prior)
            except EngineError:
                engine.close()
                raise

        return self.caller.run(open_here)


def _require(asked: str, running: Sequence[str], model: str) -> None:
    if asked not in ("auto", *running):
        raise EngineError(
            f"model '{model}' runs on backend {' or '.join(running)}, not {asked}; set backend to "
            "auto"
        )
