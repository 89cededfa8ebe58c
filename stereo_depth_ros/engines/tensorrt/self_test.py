"""Prove an engine before it is trusted: its answers beside those of the float32 graph.

TensorRT has built engines that answer NaN, or garbage that looks like depth, without a warning; so
no engine runs unproven.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from stereo_depth_ros.atomic_file import write_bytes
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.graph import MIXED_SUFFIX, Graph, read_graph
from stereo_depth_ros.scenes.planar import render, yard_scene

LEAST_COSINE = 0.999
MOST_MAE_PX = 0.5
MOST_BAD_2 = 3.0

_SUFFIX = ".reference.npz"


@dataclass(frozen=True)
class SelfTest:
    """Engine against reference on one pair.

    ``finite`` is the percentage of pixels whose disparity and confidence are finite; ``cosine``,
    ``mae`` in px and ``bad_2``, the percentage of pixels that differ by more than 2 px, compare the
    disparities, what is not finite counting as 0. ``reference`` says what it was compared with.
    """

    finite: float
    cosine: float
    mae: float
    bad_2: float
    reference: str

    @property
    def failures(self) -> tuple[str, ...]:
        """The gates that were not passed, in words; empty where all were."""
        gates = (
            (self.finite == 100, f"{self.finite:.3f} % of the answers are finite, not 100 %"),
            (self.cosine >= LEAST_COSINE, f"cosine {self.cosine:.5f} is below {LEAST_COSINE}"),
            (self.mae <= MOST_MAE_PX, f"mean difference {self.mae:.2f} px exceeds {MOST_MAE_PX}"),
            (self.bad_2 <= MOST_BAD_2, f"{self.bad_2:.1f} % differ by over 2 px, not {MOST_BAD_2}"),
        )
        return tuple(text for passed, text in gates if not passed)

    @property
    def passed(self) -> bool:
        """Whether the engine may be used."""
        return not self.failures

    def as_dict(self) -> dict[str, Any]:
        """Return numbers and verdict, for the sidecar."""
        return {**asdict(self), "passed": self.passed, "failures": list(self.failures)}

    def __str__(self) -> str:
        return (
            f"finite {self.finite:g} %, cosine {self.cosine:.5f}, mean difference {self.mae:.3f} "
            f"px, over 2 px {self.bad_2:.2f} %, against {self.reference}"
        )


@dataclass(frozen=True)
class Reference:
    """A rendered pair, (H, W, 3) uint8 RGB each, and its float32 ``disparity`` (H, W) px.

    ``source`` says what answered; ``key`` belongs to the graph it was made from.
    """

    left: np.ndarray
    right: np.ndarray
    disparity: np.ndarray
    source: str
    key: str

    def save(self, path: Path) -> None:
        """Write to ``path``, whole or not at all."""
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **asdict(self))
        write_bytes(path, buffer.getbuffer())


def reference_beside(graph: Graph) -> Path:
    """Return where the export left the reference: NAME.onnx and NAME.mixed.onnx share one."""
    name = graph.path.name.removesuffix(MIXED_SUFFIX).removesuffix(".onnx")
    return graph.path.with_name(name + _SUFFIX)


def load_reference(path: Path, graph: Graph) -> Reference | None:
    """Return the reference at ``path``; None where there is none for ``graph``, or it is broken."""
    try:
        with np.load(path, allow_pickle=False) as stored:
            fields = {name: stored[name] for name in ("left", "right", "disparity")}
            source, key = str(stored["source"]), str(stored["key"])
    except (OSError, ValueError, KeyError, EOFError, BadZipFile):
        return None
    shapes = [fields[name].shape for name in ("left", "right", "disparity")]
    size = graph.height, graph.width
    if key != reference_key(graph) or shapes != [(*size, 3), (*size, 3), size]:
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
        When ONNX Runtime is absent or cannot run the graph, or its answers are not finite.
    """
    left, right = rendered_pair(graph.height, graph.width)
    engine = OnnxRuntimeEngine(graph.path)
    try:
        disparity, _ = engine.infer(left, right)
    finally:
        engine.close()
    if not np.isfinite(disparity).all():
        raise EngineError(
            f"{graph.path}: its float32 answers are not finite, so no engine of it can be proven; "
            "export it again from sound weights"
        )
    source = f"{graph.path.name} ({graph.precision}) on the CPU"
    return Reference(left, right, disparity, source, reference_key(graph))


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


def rendered_pair(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
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
        When the engine fails, or answers at another size.
    """
    disparity, confidence = engine.infer(reference.left, reference.right)
    if disparity.shape != reference.disparity.shape or confidence.shape != disparity.shape:
        raise EngineError(
            f"{engine.spec.name}: answers {disparity.shape} and {confidence.shape}, not "
            f"{reference.disparity.shape}"
        )
    finite = np.isfinite(disparity) & np.isfinite(confidence)
    answered = np.where(np.isfinite(disparity), disparity, 0).astype(np.float64)
    expected = reference.disparity.astype(np.float64)
    difference = np.abs(answered - expected)
    norms = np.linalg.norm(answered) * np.linalg.norm(expected)
    # Two maps of zeros agree, though they point nowhere.
    cosine = (answered * expected).sum() / norms if norms else not (answered - expected).any()
    return SelfTest(
        finite=100 * float(finite.mean()),
        cosine=float(cosine),
        mae=float(difference.mean()),
        bad_2=100 * float((difference > 2).mean()),
        reference=reference.source,
    )
