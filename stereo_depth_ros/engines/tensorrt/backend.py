"""Opens graphs, and engines that were built beforehand, with TensorRT or TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from stereo_depth_ros.artifact import Artifact
from stereo_depth_ros.engines.backend import Context, Way
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.described import DescribedEngine
from stereo_depth_ros.engines.prior import check_prior, with_prior
from stereo_depth_ros.engines.tensorrt import obtain
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.prebuilt import open_prebuilt
from stereo_depth_ros.engines.tensorrt.versions import MODULES


class TensorRTBackend:
    """See `stereo_depth_ros.engines.backend.Backend`."""

    name = "tensorrt"
    engines = frozenset({"onnx", "tensorrt"})
    options: frozenset[str] = frozenset()
    needs_file = True

    def ways(self, artifact: Artifact, context: Context) -> Sequence[Way]:
        """Return one way a runtime; see `stereo_depth_ros.engines.backend.Backend.ways`."""
        if artifact.card.engine == "tensorrt":
            return [Way("TensorRT", partial(_open_prebuilt, artifact, context))]
        if not (context.is_backend_given or context.has_gpu):
            return []
        if context.awaits_size and not context.is_backend_given and _is_for_any(artifact.graph):
            return []
        return [
            Way(title, partial(_open, artifact, context, module))
            for module, title in MODULES.items()
        ]


def _open(artifact: Artifact, context: Context, module: str) -> Engine:
    path, prior = artifact.graph, artifact.card.prior
    graph = read_graph(path)
    check_prior(path, graph.takes_prior, prior)
    host = replace(obtain.this_host(context.cuda_backend, module), run=context.run)
    obtained, file = obtain.open_obtained(
        path,
        context.build,
        size=context.size,
        report=context.report,
        cancelled=context.cancelled,
        host=host,
    )
    engine = with_prior(obtained, path, prior)
    refusals = (f"not in {note}" for note in file.notes)
    checks = (f"self-test: {file.self_test}", *refusals)
    return DescribedEngine(engine, checks=checks, sizes=graph.sizes)


def _is_for_any(graph: Path) -> bool:
    try:
        return read_graph(graph).sizes is not None
    except EngineError:
        return False  # which says so when it is opened


def _open_prebuilt(artifact: Artifact, context: Context) -> Engine:
    hosts = partial(obtain.this_host, context.cuda_backend)
    prebuilt, file = open_prebuilt(artifact.graph, hosts, context.run)
    engine = with_prior(prebuilt, file.path, None)
    return DescribedEngine(engine, checks=(f"self-test: {file.self_test}", "built beforehand"))
