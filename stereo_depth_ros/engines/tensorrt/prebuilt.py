"""An engine that was built beforehand and came as a file: to a container, or a read-only system."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from stereo_depth_ros.engines.base import EngineError, RunInThread
from stereo_depth_ros.engines.prior import PriorEngine
from stereo_depth_ros.engines.tensorrt.engine_file import EngineFile, read_engine
from stereo_depth_ros.engines.tensorrt.host import Host
from stereo_depth_ros.engines.tensorrt.key import differences, machine_key


def open_prebuilt(
    path: Path, host_with: Callable[[str], Host], run: RunInThread
) -> tuple[PriorEngine, EngineFile]:
    """Open the engine at ``path``, written by "stereo-depth build -o", within ``run``.

    ``host_with`` returns this machine with the TensorRT of a module's name.

    Raises
    ------
    EngineError
        When it is damaged, of another machine, not proven, or refused; nothing is built instead.
    """
    file = read_engine(path)
    host = host_with(file.runtime)
    reasons = differences(file.sidecar["key"], machine_key(host.runtime, host.device))
    if not reasons and not file.proven:
        reasons = [file.failure or "it has not passed the self-test of this release"]
    if reasons:
        raise EngineError(
            f"{path} cannot be used here: {'; '.join(reasons)}; build it on this machine with "
            f"'stereo-depth build GRAPH.onnx -o {path.name}'"
        )
    return run(partial(host.open_file, file)), file
