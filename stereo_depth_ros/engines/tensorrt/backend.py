"""Opens graphs, and engines that were built beforehand, with TensorRT or TensorRT-RTX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from stereo_depth_ros.engines.backend import Request, Way
from stereo_depth_ros.engines.base import Engine
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

    def ways(self, request: Request) -> Sequence[Way]:
        """Return one way a runtime; see `stereo_depth_ros.engines.backend.Backend.ways`."""
        if request.card.engine == "tensorrt":
            return [Way("TensorRT", partial(_open_prebuilt, request))]
        if not (request.is_backend_given or request.has_gpu):
            return []
        return [Way(title, partial(_open, request, module)) for module, title in MODULES.items()]


def _open(request: Request, module: str) -> Engine:
    graph, prior = request.file, request.card.prior
    if prior:
        check_prior(graph, read_graph(graph).takes_prior, prior)
    caller = request.caller
    host = replace(obtain.this_host(request.cuda_backend, module), run=caller.run)
    obtained, file = obtain.open_obtained(
        graph, request.build, report=caller.report, cancelled=caller.cancelled, host=host
    )
    engine = with_prior(obtained, graph, prior)
    notes = [f"self-test: {file.self_test}", *(f"not in {note}" for note in file.notes)]
    return _note(engine, *notes)


def _open_prebuilt(request: Request) -> Engine:
    hosts = partial(obtain.this_host, request.cuda_backend)
    prebuilt, file = open_prebuilt(request.file, hosts, request.caller.run)
    engine = with_prior(prebuilt, file.path, None)
    return _note(engine, f"self-test: {file.self_test}", "built beforehand")


def _note(engine: Engine, *notes: str) -> Engine:
    provenance = "; ".join([engine.spec.provenance, *notes])
    engine.spec = replace(engine.spec, provenance=provenance)
    return engine
