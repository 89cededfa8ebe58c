"""Opens graphs with ONNX Runtime, on the GPU where that is worth a try, else on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from stereo_depth_ros.engines.backend import Request, Way
from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.onnxruntime import BACKEND, OnnxRuntimeEngine
from stereo_depth_ros.engines.prior import with_prior


class OnnxRuntimeBackend:
    """See `stereo_depth_ros.engines.backend.Backend`."""

    name = BACKEND
    engines = frozenset({"onnx"})
    options: frozenset[str] = frozenset()
    needs_file = True

    def ways(self, request: Request) -> Sequence[Way]:
        """Return at most two ways; see `stereo_depth_ros.engines.backend.Backend.ways`."""
        ways = []
        if request.has_gpu and not request.providers and not request.is_backend_given:
            open_on_gpu = partial(_open, request, ("cuda", "cpu"))
            ways.append(Way("ONNX Runtime on the GPU", open_on_gpu))
        if request.providers or not request.caller.gpu_only:
            ways.append(Way("ONNX Runtime", partial(_open, request, request.providers)))
        return ways


def _open(request: Request, providers: tuple[str, ...]) -> Engine:
    def open_here() -> Engine:
        engine = OnnxRuntimeEngine(request.file, providers, request.threads)
        try:
            return with_prior(engine, request.file, request.card.prior)
        except EngineError:
            engine.close()
            raise

    return request.caller.run(open_here)
