"""Memory, signals and neighbours."""

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.engines.tensorrt import EngineFile
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import find_device, free_memory_mb
from stereo_depth_ros.engines.tensorrt.engine_file import read_engine
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine
from stereo_depth_ros.engines.tensorrt.self_test import make_reference
from stereo_depth_ros.evaluation.benchmark import resident_mib

SMALL = "lite/base"
SOAK_S = 600
INFER = """
import sys
import numpy as np
from pathlib import Path
from stereo_depth_ros.engines.tensorrt.engine_file import read_engine
from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine
engine = TensorRTEngine(read_engine(Path(sys.argv[1])))
left = np.random.default_rng(0).integers(
    0, 256, (engine.spec.height, engine.spec.width, 3), dtype=np.uint8)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(500):
    disparity, _ = engine.infer(left, np.roll(left, -3, axis=1))
print(float(disparity.mean()))
engine.close()
"""


def pair(file: EngineFile):
    left = np.random.default_rng(0).integers(0, 256, (*file.size, 3), dtype=np.uint8)
    return left, np.roll(left, -3, axis=1)


def test_memory_of_the_gpu_comes_back(engines):
    file, device = engines(SMALL, "fp32"), find_device()
    free = []
    for _ in range(10):
        engine = TensorRTEngine(file)
        engine.infer(*pair(file))
        engine.close()
        free.append(free_memory_mb(device))

    # The first may leave what CUDA keeps for the life of the process.
    assert free[1] - free[-1] < 8


@pytest.mark.slow
def test_memory_stays_flat_for_ten_minutes(engines):
    file, device = engines(SMALL, "fp32"), find_device()
    engine = TensorRTEngine(file)
    images = pair(file)
    memory = []
    started = time.monotonic()
    try:
        while (elapsed := time.monotonic() - started) < SOAK_S:
            engine.infer(*images)
            if elapsed > 60 * (len(memory) + 1):
                memory.append((resident_mib(), free_memory_mb(device)))
    finally:
        engine.close()

    (resident, free), (last_resident, last_free) = memory[0], memory[-1]
    assert last_resident < 1.01 * resident
    assert free - last_free < 8


def build(graph):
    command = [sys.executable, "-m", "stereo_depth_ros.cli.main", "build", str(graph)]
    return subprocess.Popen(
        [*command, "--precision", "fp32"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def builders(parent):
    """Processes that ``parent`` started and that have loaded TensorRT."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) != parent:
                continue
            if re.search(r"lib(nvinfer|tensorrt)", (entry / "maps").read_text()):
                found.append(int(entry.name))
        except OSError:
            continue  # it has ended
    return found


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not (outcome := condition()):
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)
    return outcome


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_build_that_is_killed_leaves_nothing_that_is_used(graphs, tmp_path, monkeypatch, how):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    graph = Path(shutil.copy(graphs(SMALL, "fp32"), tmp_path / "net.onnx"))
    # With the reference there, the only child is the one that builds.
    known = read_graph(graph)
    make_reference(known).save(locate_reference(known.path))
    cache = EngineCache()
    process = build(graph)

    def builder():
        assert process.poll() is None, process.communicate()[0]
        return builders(process.pid)

    # A build may take a second, so it is killed as soon as there is one.
    (child,) = wait_for(builder, 120)
    process.send_signal(how)
    output, _ = process.communicate(timeout=60)
    wait_for(lambda: not Path(f"/proc/{child}").exists(), 60)

    assert process.returncode == (130 if how == signal.SIGINT else -how), output
    assert cache.engines() == []
    again = build(graph)
    output, _ = again.communicate(timeout=500)
    assert again.returncode == 0, output
    assert [file.proven for _, file in cache.engines()] == [True]
    assert not list(cache.directory.glob("*.part"))


def test_two_processes_share_a_gpu(engines):
    file = engines(SMALL, "fp32")
    assert read_engine(file.path).proven
    both = [
        subprocess.Popen(
            [sys.executable, "-c", INFER, str(file.path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for process in both:
        # Libraries may print before it.
        assert "ready\n" in iter(process.stdout.readline, "")
    for process in both:
        process.stdin.write("go\n")
        process.stdin.flush()
    answers = [float(process.communicate(timeout=120)[0]) for process in both]

    assert [process.returncode for process in both] == [0, 0]
    assert answers[0] == pytest.approx(answers[1], rel=1e-3)
    assert np.isfinite(answers).all()
