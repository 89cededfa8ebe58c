"""Runs any ONNX graph that keeps the graph contract, on the CPU or any ONNX Runtime provider.

See `stereo_depth_ros.graph_contract`; the metadata must hold ``network`` and ``max_disparity``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from stereo_depth_ros import graph_contract
from stereo_depth_ros.engines.base import EngineError, EngineSpec, Provenance
from stereo_depth_ros.engines.cuda_errors import cuda_error

BACKEND = "onnxruntime"

_KINDS: dict[type, str] = {np.uint8: "tensor(uint8)", np.float32: "tensor(float)"}


class OnnxRuntimeEngine:
    """One session on one graph file; see `stereo_depth_ros.engines.prior.PriorEngine`.

    A graph for any size is loaded anew whenever the images change theirs, which takes a fraction
    of a second.

    Parameters
    ----------
    path
        Of the graph.
    providers
        ONNX Runtime execution providers by full or short name ("cuda"), in order of preference,
        each with options after a colon; empty for the CPU.
    threads
        Per operator, 0 for all.
    size
        Height and width in px for which a graph for any size is made ready, its own where None.
    """

    def __init__(
        self,
        path: Path,
        providers: Sequence[str] = (),
        threads: int = 0,
        size: tuple[int, int] | None = None,
    ) -> None:
        runtime = import_runtime()
        chosen = _resolve_providers(runtime, providers)
        self._path = path
        self._load = partial(_load, runtime, path, chosen, threads)
        self._session = self._load(size)
        metadata = self._session.get_modelmeta().custom_metadata_map
        sizes = _read_sizes(metadata, path)
        if sizes is not None:
            ready = sizes.cover(*(size or sizes.size))
            if ready != size:
                self._session = self._load(ready)
        height, width, self.takes_prior = _check_interface(self._session, path)
        self._size = height, width
        for key in ("network", "max_disparity"):
            if key not in metadata:
                raise EngineError(
                    f"{path}: metadata '{key}' is missing; export the graph again with a tool "
                    "that keeps the graph contract"
                )
        self.prior = metadata.get("prior", "") if self.takes_prior else ""
        provider = chosen[0][0]
        self._check_provider(provider, path)
        self.spec = EngineSpec(
            name=metadata["network"],
            backend=BACKEND,
            height=height if sizes is None else None,
            width=width if sizes is None else None,
            max_disparity=_read_max_disparity(metadata["max_disparity"], width, path),
            precision=metadata.get("precision", "fp32"),
            device=provider.removesuffix("ExecutionProvider"),
            provenance=Provenance(str(path), f"ONNX Runtime {runtime.__version__}"),
            licence=metadata.get("licence", ""),
            commercial=metadata.get("commercial") != "false",
            sizes=sizes,
        )
        # The first run allocates and tunes; paid here, not by the first frame.
        blank = np.zeros((height, width, 3), np.uint8)
        self.infer(blank, blank)

    def _check_provider(self, provider: str, path: Path) -> None:
        active = self._session.get_providers()
        if provider not in active:
            raise EngineError(
                f"{path}: provider {provider} could not start (active: {', '.join(active)}); check "
                "its driver and libraries or leave 'providers' empty for the CPU"
            )

    def infer(self, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.base.Engine.infer`."""
        return self._run(left, right, ())

    def infer_with_prior(
        self, left: np.ndarray, right: np.ndarray, prior: np.ndarray, prior_confidence: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Match one pair; see `stereo_depth_ros.engines.prior.PriorEngine.infer_with_prior`."""
        return self._run(left, right, (prior, prior_confidence))

    def _run(
        self, left: np.ndarray, right: np.ndarray, prior: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        size = left.shape[:2]
        if self.spec.sizes is not None and size != self._size:
            if size != self.spec.sizes.cover(*size):
                smallest = "{}x{}".format(*self.spec.sizes.min_size)
                raise EngineError(
                    f"{self.spec.name}: takes images from {smallest} px (HxW) on, not "
                    f"{size[0]}x{size[1]}"
                )
            self._session, self._size = self._load(size), size
        if self.takes_prior and not prior:
            prior = (np.zeros(size, np.float32),) * 2
        arrays = (left, right, *prior)
        given = {
            name: np.ascontiguousarray(array)[None]
            for name, array in zip(
                graph_contract.IMAGES + graph_contract.PRIOR, arrays, strict=False
            )
        }
        try:
            disparity, confidence = self._session.run(list(graph_contract.OUTPUTS), given)
        except Exception as error:
            raise _failure(f"{self.spec.name}: ONNX Runtime failed: {error}", error) from error
        # A sum of probabilities may be rounded to just above 1.
        return disparity[0], np.clip(confidence[0], 0, 1)

    def close(self) -> None:
        """Release the session and its memory."""
        self._session = None


def _failure(text: str, error: Exception) -> EngineError:
    """Return the error that says ``text``, by the CUDA error that ``error`` names, if any."""
    of_cuda = re.search(r"CUDA (?:failure|error) (\d+)", str(error))
    return cuda_error(text, int(of_cuda[1]) if of_cuda else 0)


def _load(
    runtime: Any,
    path: Path,
    providers: Sequence[tuple[str, dict[str, str]]],
    threads: int,
    size: tuple[int, int] | None,
) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    # With the size known, all that follows from it is computed while loading.
    for symbol, side in zip(graph_contract.SYMBOLS, size or (), strict=False):
        options.add_free_dimension_override_by_name(symbol, side)
    try:
        return runtime.InferenceSession(str(path), options, providers=list(providers))
    except Exception as error:
        text = (
            f"{path}: ONNX Runtime {runtime.__version__} cannot load this graph: {error}. "
            "Export it again with opset 17"
        )
        raise _failure(text, error) from error


def _read_sizes(metadata: Mapping[str, str], path: Path) -> graph_contract.AnySize | None:
    try:
        return graph_contract.AnySize.read(metadata)
    except ValueError as error:
        raise EngineError(f"{path}: {error}; export it again") from error


def _read_max_disparity(text: str, width: int, path: Path) -> float:
    try:
        return graph_contract.search_range(text, width)
    except ValueError as error:
        raise EngineError(f"{path}: metadata 'max_disparity': {error}; export it again") from error


def import_runtime() -> Any:
    """Return the module onnxruntime.

    Raises
    ------
    EngineError
        Where it is not installed; the text says how to install it.
    """
    try:
        import onnxruntime

        # What an uninstallation leaves behind can be imported too, and is empty.
        onnxruntime.InferenceSession  # noqa: B018
    except (AttributeError, ImportError) as error:
        raise EngineError(
            f"backend onnxruntime: {error}; install it with 'pip install onnxruntime' (or "
            "onnxruntime-gpu)"
        ) from error
    return onnxruntime


def _resolve_providers(runtime: Any, providers: Sequence[str]) -> list[tuple[str, dict[str, str]]]:
    """Return names and options of ``providers``, each NAME or NAME:KEY=VALUE:KEY=VALUE."""
    available = runtime.get_available_providers()
    by_short_name = {p.removesuffix("ExecutionProvider").lower(): p for p in available}
    chosen = []
    for provider in providers or ("cpu",):
        name, *settings = provider.split(":")
        options = dict(setting.partition("=")[::2] for setting in settings)
        if not all(key and value for key, value in options.items()):
            raise EngineError(
                f"provider '{provider}' is not NAME:KEY=VALUE, such as cuda:device_id=1"
            )
        short = name.removesuffix("ExecutionProvider").lower()
        if short not in by_short_name:
            raise EngineError(
                f"provider '{name}' is not in this ONNX Runtime; available: "
                f"{', '.join(sorted(by_short_name))}"
            )
        chosen.append((by_short_name[short], options))
    return chosen


def _check_interface(session: Any, path: Path) -> tuple[int, int, bool]:
    """Return height and width of the images, and whether the graph takes a prior."""

    def fail(detail: str) -> EngineError:
        return EngineError(
            f"{path}: breaks the graph contract: {detail}. Expected {graph_contract.WORDS}"
        )

    inputs = {i.name: i for i in session.get_inputs()}
    outputs = {o.name: o for o in session.get_outputs()}
    takes_prior = graph_contract.has_prior(inputs)
    if set(inputs) != {*graph_contract.IMAGES, *(graph_contract.PRIOR if takes_prior else ())}:
        raise fail(f"inputs are {', '.join(sorted(inputs))}")
    if not set(graph_contract.OUTPUTS) <= set(outputs):
        raise fail(f"outputs are {', '.join(sorted(outputs))}")
    shape = inputs["left"].shape
    if len(shape) != 4 or not all(isinstance(n, int) for n in shape) or shape[::3] != [1, 3]:
        raise fail(f"input left has shape {shape}")
    height, width = shape[1:3]
    for nodes, layout in (
        (inputs, graph_contract.inputs(height, width, takes_prior)),
        (outputs, graph_contract.outputs(height, width)),
    ):
        for name, (expected, kind) in layout.items():
            node = nodes[name]
            if node.type != _KINDS[kind] or node.shape != list(expected):
                raise fail(f"{name} is {node.type} {node.shape}")
    return height, width, takes_prior
