"""Choose and open the engine for a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from stereo_depth_ros.engines import onnxruntime, sgbm
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.model_card import load_model_card

BACKENDS = ("auto", onnxruntime.BACKEND, sgbm.BACKEND)


def open_engine(
    model: str,
    height: int | None = None,
    width: int | None = None,
    backend: str = "auto",
    providers: Sequence[str] = (),
    threads: int = 0,
    max_disparity: int = 0,
) -> Engine:
    """Open ``model`` (a name in models/, a card, or an .onnx file), warmed up and ready.

    ``height`` and ``width``, where given, are the size the caller insists on. ``backend`` "auto"
    takes the one that runs the model; ``providers`` and ``threads`` are for ONNX Runtime;
    ``max_disparity`` in px is for engines that can change it, 0 leaving the choice to them.

    Raises
    ------
    ModelError
        When the model is unknown, missing or altered.
    EngineError
        When its backend is absent, does not fit the model, or the graph breaks the contract.
    """
    if backend not in BACKENDS:
        raise EngineError(f"backend '{backend}' is not known; known are {', '.join(BACKENDS)}")
    card = load_model_card(model)
    engine: Engine
    known_options = {"mode", "max_disparity"} if card.engine == "sgbm" else set()
    unknown = set(card.options) - known_options
    if unknown:
        raise EngineError(
            f"model '{model}': its card has unknown options {', '.join(sorted(unknown))}; known "
            f"are {', '.join(sorted(known_options)) or 'none'}"
        )
    if card.engine == "sgbm":
        _require(backend, sgbm.BACKEND, model)
        options = dict(card.options)
        if max_disparity:
            options["max_disparity"] = max_disparity
        engine = sgbm.SgbmEngine(card.name, **options)
    elif card.engine == "onnx":
        _require(backend, onnxruntime.BACKEND, model)
        if max_disparity:
            raise EngineError(
                f"model '{model}': the search range of a graph is fixed when it is exported; set "
                "max_disparity to 0, or export it again"
            )
        engine = onnxruntime.OnnxRuntimeEngine(card.verified_file(), providers, threads)
    else:
        raise EngineError(
            f"model '{model}': its card names engine '{card.engine}'; known are onnx and sgbm"
        )
    why = "the only backend that runs it" if backend == "auto" else "the backend asked for"
    spec = engine.spec
    engine.spec = replace(
        spec,
        provenance=f"{spec.provenance}; {why}",
        licence=card.licence or spec.licence,
        commercial=card.commercial and spec.commercial,
    )
    wanted, has = (height, width), (engine.spec.height, engine.spec.width)
    if None not in wanted and None not in has and wanted != has:
        engine.close()
        raise EngineError(
            f"model '{model}' takes {has[1]} x {has[0]} images, not {width} x {height}; export it "
            "at that size"
        )
    return engine


def _require(asked: str, needed: str, model: str) -> None:
    if asked not in ("auto", needed):
        raise EngineError(
            f"model '{model}' runs on backend {needed}, not {asked}; set backend to auto"
        )
