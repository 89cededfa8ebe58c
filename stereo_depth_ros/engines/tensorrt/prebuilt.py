"""An engine that was built beforehand and came as a file: to a container, or a read-only system."""

from __future__ import annotations

from functools import partial

from stereo_depth_ros.engines.base import Engine, EngineError
from stereo_depth_ros.engines.tensorrt.engine_file import EngineFile
from stereo_depth_ros.engines.tensorrt.host import Host
from stereo_depth_ros.engines.tensorrt.key import differences, machine_key


def open_prebuilt(file: EngineFile, host: Host) -> Engine:
    """Open ``file``, written by "stereo-depth build -o", within ``host.run``.

    Raises
    ------
    EngineError
        When it is of another machine, not proven, or refused; nothing is built in its place.
    """
    reasons = differences(file.sidecar["key"], machine_key(host.runtime, host.device))
    if not reasons and not file.proven:
        reasons = [file.failure or "it has not passed the self-test of this release"]
    if reasons:
        raise EngineError(
            f"{file.path} cannot be used here: {'; '.join(reasons)}; build it on this machine with "
            f"'stereo-depth build GRAPH.onnx -o {file.path.name}'"
        )
    return host.run(partial(host.open_file, file))
