"""Opens graphs with ONNX Runtime, on the GPU where that is worth a try, else on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stereo_depth_ros.artifact import Artifact
from stereo_depth_ros.engines.backend import Context, Way
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.onnxruntime import BACKEND, OnnxRuntimeEngine
from stereo_depth_ros.engines.prior import with_prior


class OnnxRuntimeBackend:
    """See `stereo_depth_ros.engines.backend.Backend`."""

    name = BACKEND
    engines = frozenset({"onnx"})
    options: frozenset[str] = frozenset()
    needs_file = True

    def ways(self, artifact: Artifact, context: Context) -> Sequence[Way]:
        """Return at most two ways; see `stereo_depth_ros.engines.backend.Backend.ways`."""
        ways = []
        if context.has_gpu and not context.providers and not context.is_backend_given:
            open_on_gpu = partial(_open, artifact, context, ("cuda", "cpu"))
            ways.append(Way("ONNX Runtime on the GPU", open_on_gpu))
        if context.providers or not context.gpu_only:
            ways.append(Way("ONNX Runtime", partial(_open, artifact, context, context.providers)))
        return ways


def _open(artifact: Artifact, context: Context, providers: tuple[str, ...]) -> Engine:
    graph = artifact.graph

    def open_here() -> Engine:
        engine = OnnxRuntimeEngine(graph, providers, context.threads, context.size)
        try:
            return with_prior(engine, graph, artifact.card.prior)
        except EngineError:
            engine.close()
            raise

    return context.run(open_here)
