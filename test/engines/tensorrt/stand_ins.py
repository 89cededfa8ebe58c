"""What stands in for TensorRT and a GPU where the logic does not depend on them.

The functions are the work of real child processes; an "engine" is a copy of the graph, and ONNX
Runtime runs it.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from fakes import save_graph

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import Device
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged
from stereo_depth_ros.engines.tensorrt.host import Host
from stereo_depth_ros.engines.tensorrt.versions import Runtime

HEIGHT, WIDTH = 48, 64
METADATA = {
    "network": "encoded",
    "variant": "plain",
    "iterations": "0",
    "max_disparity": "64",
    "weights_sha256": "abc",
    "licence": "Apache-2.0",
    "commercial": "true",
    "precision": "fp32",
}
DEVICE = Device("Orin", "8.7", 16, 62000, True)


def target(function):
    return f"{__name__}:{function.__name__}"


def copy_graph(graph, output, *, precision, tf32, report, cancelled, **ignored):
    report(50.0, "copying")
    with open(f"{graph}.builds", "a") as file:
        file.write(f"{precision}{'' if tf32 else '-without-tf32'}\n")
    shutil.copy(graph, output)
    return {"seconds": 0.1, "layers": 7, "workspace_mb": 1}


def copy_slowly(graph, output, *, report, cancelled, **others):
    time.sleep(1.0)
    return copy_graph(graph, output, report=report, cancelled=cancelled, **others)


def add(a, b, report, cancelled):
    print("libraries print what they like")
    report(50.0, "adding")
    return a + b


def tick(count, interval, report, cancelled):
    for index in range(count):
        report(100 * index / count, f"tick {index}")
        time.sleep(interval)


def wait_until_cancelled(output, report, cancelled, **ignored):
    """Leave a half written file, as a build does that is stopped."""
    Path(output).write_bytes(b"half")
    report(10.0, "waiting")
    cancelled.wait(60)
    raise EngineError("stopped in the middle")


def never_end(output, report, cancelled, **ignored):
    Path(output).write_text(str(os.getpid()))
    report(10.0, "hanging")
    time.sleep(600)


def refuse(report, cancelled, **ignored):
    raise EngineError("node Foo 'bar': no such thing; export it again")


def stumble(report, cancelled):
    return {}["absent"]


def crash(report, cancelled):
    print("the last words", file=sys.stderr)
    os.kill(os.getpid(), signal.SIGSEGV)


def crash_on_mixed(graph, output, *, precision, **others):
    if precision == "mixed":
        os.kill(os.getpid(), signal.SIGSEGV)
    return copy_graph(graph, output, precision=precision, **others)


def round_with_tf32(graph, output, *, tf32, **others):
    """Build an engine that is a sixteenth off, unless TF32 is forbidden."""
    built = copy_graph(graph, output, tf32=tf32, **others)
    if tf32:
        off = Path(output).with_suffix(".onnx")
        save(off, factor=0.25 * 17 / 16).replace(output)
    return built


def build_without_reference(graph, output, **others):
    """Fail, as a build would be in vain that no reference can prove."""
    raise AssertionError("built before it was known whether it can be proven")


def die_in_a_word(report, cancelled):
    """Crash while half a message is written."""
    os.write(3, b'{"percent": 12.5, "st')
    os.kill(os.getpid(), signal.SIGSEGV)


def exhaust(report, cancelled):
    os.kill(os.getpid(), signal.SIGKILL)


def leave(report, cancelled):
    os._exit(3)


def module_of(version):
    """The names by which TensorRT ``version`` is told from others, numbered as there."""
    flags, builder = {}, {"FP16": 0, "OBEY_PRECISION_CONSTRAINTS": 1}
    if version < (11,):
        flags["EXPLICIT_BATCH"] = 0
    if version >= (10,):
        flags["STRONGLY_TYPED"] = 1 if version < (11,) else 0
    if version >= (11,):
        builder = {}
    module = SimpleNamespace(
        NetworkDefinitionCreationFlag=SimpleNamespace(**flags),
        BuilderFlag=SimpleNamespace(**builder),
        MemoryPoolType=SimpleNamespace(WORKSPACE="workspace"),
    )
    if version >= (10,):
        module.IProgressMonitor = object
    return module


def runtime_of(*version):
    return Runtime("tensorrt", ".".join(map(str, version)), module_of(version))


def open_with_onnxruntime(file):
    try:
        return OnnxRuntimeEngine(file.path)
    except EngineError as error:
        raise EngineDamaged(f"{file.path} cannot be read back") from error


def make_host(folder, *, runtime=None, device=DEVICE, work=copy_graph):
    folder.mkdir(exist_ok=True)
    return Host(
        runtime or runtime_of(10, 3, 0),
        device,
        EngineCache(folder),
        open_with_onnxruntime,
        target(work),
    )


def save(path, *, factor=0.25, height=HEIGHT, width=WIDTH, prior=(), sizes=None, **metadata):
    """A graph whose disparity is ``factor`` times the red of the left image, plus the prior.

    With ``sizes``, an `AnySize`, it is for any.
    """
    import onnx
    from onnx import numpy_helper

    precision = "mixed" if path.name.endswith(".mixed.onnx") else "fp32"
    known = {**METADATA, "precision": precision, **metadata}
    shape = None
    if sizes is not None:
        shape, known = (1, "H", "W", 3), {**known, **sizes.as_metadata()}
    save_graph(path, width=width, height=height, metadata=known, prior=prior, image_shape=shape)
    model = onnx.load(str(path))
    (quarter,) = [t for t in model.graph.initializer if t.name == "quarter"]
    value = numpy_helper.to_array(quarter) * 0 + factor
    quarter.CopyFrom(numpy_helper.from_array(value.astype("float32"), "quarter"))
    onnx.save(model, str(path))
    return path


def builds_of(path):
    """The precisions in which ``path`` was built, one after the other."""
    log = Path(f"{path}.builds")
    return log.read_text().split() if log.exists() else []


def engines_in(folder):
    """The names of engines in ``folder``, finished or not."""
    suffixes = (".engine", ".json", ".part")
    return sorted(path.name for path in folder.iterdir() if path.suffix in suffixes)
