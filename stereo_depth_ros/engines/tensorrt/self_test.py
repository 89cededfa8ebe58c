"""Prove an engine before it is trusted: its outputs beside those of the float32 graph.

TensorRT has built engines that return NaN, or garbage that looks like depth, without a warning; so
no engine runs unproven.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import Graph, read_graph
from stereo_depth_ros.engines.tensorrt.verdict import (
    Outputs,
    SelfTest,
    Sensitivity,
    add_noise,
    compare,
    sensitivity,
)
from stereo_depth_ros.scenes.planar import render, yard_scene

_ARRAYS = ("left", "right", "disparity", "confidence", "sensitivity")


@dataclass(frozen=True)
class Reference:
    """A rendered pair, (H, W, 3) uint8 RGB each, and what the graph computes for it in float32.

    ``disparity`` (H, W) float32 px and ``confidence`` (H, W) float32 0 to 1 are those outputs,
    ``sensitivity`` (3,) float64 is that of the graph, see `verdict.Sensitivity`. ``source`` says
    what computed them; ``key`` belongs to the graph.
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    confidence: np.ndarray
    sensitivity: np.ndarray
    source: str
    key: str

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **asdict(self))
        write_bytes(path, buffer.getvalue())


def load_reference(path: Path, graph: Graph) -> Reference | None:
    """Return the reference at ``path``; None where there is none for ``graph``, or it is broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            fields = {name: stored[name] for name in _ARRAYS}
            source, key = str(stored["source"]), str(stored["key"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    size = graph.height, graph.width
    shapes = [fields[name].shape for name in _ARRAYS]
    if key != reference_key(graph) or shapes != [(*size, 3), (*size, 3), size, size, (3,)]:
        return None
    for values in fields.values():
        if values.dtype.kind not in "uf" or not np.isfinite(values).all():
            return None
    return Reference(**fields, source=source, key=key)


def reference_key(graph: Graph) -> str:
    """Return what tells whether a reference is that of ``graph``: its identity, else its hash."""
    if graph.identity is not None:
        return "/".join(map(str, graph.identity))
    return graph.sha256


def make_reference(graph: Graph) -> Reference:
    """Render a pair at the size of ``graph`` and match it with ONNX Runtime on the CPU.

    Raises
    ------
    EngineError
        When ONNX Runtime is absent or cannot run the graph, or its outputs are not finite.
    """
    left, right = render_test_pair(graph.height, graph.width)
    engine = OnnxRuntimeEngine(graph.path)
    try:
        outputs = Outputs(*engine.infer(left, right))
        noisy = Outputs(*engine.infer(add_noise(left), add_noise(right)))
    finally:
        engine.close()
    source = f"{graph.path.name} ({graph.precision}) on the CPU"
    return reference_of(graph, (left, right), outputs, noisy, source)


def reference_of(
    graph: Graph,
    pair: tuple[np.ndarray, np.ndarray],
    outputs: Outputs,
    noisy: Outputs,
    source: str,
) -> Reference:
    """Return the reference of ``graph`` from what ``source`` computed in float32.

    ``outputs`` are those of ``pair``, ``noisy`` those of both views after `verdict.add_noise`.

    Raises
    ------
    EngineError
        When they are not finite.
    """
    if not all(np.isfinite(values).all() for values in (*outputs, *noisy)):
        raise EngineError(
            f"{graph.path}: its float32 outputs are not finite, so no engine of it can be proven; "
            "export it again from sound weights"
        )
    measured = np.array(sensitivity(outputs, noisy))
    return Reference(*pair, *outputs, measured, source, reference_key(graph))


def write_reference(
    graph: str,
    output: str,
    *,
    report: Callable[[float | None, str], None],
    cancelled: threading.Event,
) -> None:
    """Make the reference of a graph file and save it, as the work of a child process."""
    report(None, "matching a rendered pair on the CPU")
    make_reference(read_graph(Path(graph))).save(Path(output))


def render_test_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a rendered outdoor scene, left and right (H, W, 3) uint8 RGB."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    camera = StereoCamera(width, height, 0.8 * width, 0.8 * width, cx, cy, cx, baseline=0.12)
    pair = render(yard_scene(), camera)
    return pair.left, pair.right


def run_self_test(engine: Engine, reference: Reference) -> SelfTest:
    """Match the pair of ``reference`` with ``engine`` and compare.

    Raises
    ------
    EngineError
        When the engine fails, or returns another size.
    """
    outputs = Outputs(*engine.infer(reference.left, reference.right))
    shapes = [values.shape for values in outputs]
    if shapes != [reference.disparity.shape] * 2:
        raise EngineError(
            f"{engine.spec.name}: returns {shapes[0]} and {shapes[1]}, not "
            f"{reference.disparity.shape}"
        )
    expected = Outputs(reference.disparity, reference.confidence)
    allowed = Sensitivity(*map(float, reference.sensitivity))
    return compare(outputs, expected, allowed, reference.source)
