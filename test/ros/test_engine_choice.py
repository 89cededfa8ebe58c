"""Parameters to engines: what serves during a build, and what is measured alone."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from fakes import FixedEngine, save_graph

from stereo_depth_ros.engines import Context, EngineError
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.cache import EngineCache
from stereo_depth_ros.engines.tensorrt.device import Device
from stereo_depth_ros.ros import engine_choice, parameters
from stereo_depth_ros.share import share_directory

DESKTOP = Device("RTX", "8.6", 28, 12000, False)
ORIN = Device("Orin", "8.7", 16, 62000, True)


def values(**changes):
    return {p.name: p.default for p in parameters.PARAMETERS} | changes


@pytest.fixture
def graph(tmp_path):
    return str(save_graph(tmp_path / "net.onnx"))


@pytest.fixture
def gpu(monkeypatch):
    def install(device):
        def find_device():
            if device is None:
                raise EngineError("no NVIDIA driver")
            return device

        monkeypatch.setattr(engine_choice, "find_device", find_device)

    return install


@pytest.mark.parametrize(
    ("device", "backend"), [(ORIN, "opencv"), (DESKTOP, "onnxruntime"), (None, "onnxruntime")]
)
def test_build_shares_its_memory_with_no_graph_on_the_cpu(gpu, graph, device, backend):
    gpu(device)

    _, meanwhile = engine_choice.choose_engine(values(model=graph, backend="tensorrt"))

    assert meanwhile(Context()).spec.backend == backend


def test_auto_is_built_and_served_meanwhile_by_its_network(gpu):
    gpu(DESKTOP)

    wanted, meanwhile = engine_choice.choose_engine(values())

    for opener in (wanted, meanwhile):
        engine = opener(Context())
        assert (engine.spec.name, engine.spec.backend) == ("lite", "onnxruntime")


def test_auto_serves_where_its_network_cannot_be_had(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    shutil.copy(share_directory() / "models" / "sgbm.yaml", tmp_path / "models")
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)

    wanted, _ = engine_choice.choose_engine(values())

    assert wanted(Context()).spec.name == "sgbm"


@pytest.mark.parametrize("asked", [{"backend": "opencv"}, {"max_disparity": 64}])
def test_auto_is_sgbm_where_only_that_does_what_the_parameters_ask(asked):
    wanted, _ = engine_choice.choose_engine(values(**asked))

    assert wanted(Context()).spec.name == "sgbm"


def test_without_the_fallback_nothing_serves(graph):
    assert engine_choice.choose_engine(values(model=graph, build_fallback=False))[1] is None


def test_model_that_serves_on_a_desktop_is_the_least_accurate_graph(gpu, tmp_path):
    gpu(DESKTOP)
    large, small = (str(save_graph(tmp_path / f"{n}.onnx")) for n in ("large", "small"))
    chosen = values(models=f"{large}, {small}, sgbm", latency_budget_ms=50.0)

    _, meanwhile = engine_choice.choose_engine(chosen)

    assert str(meanwhile(Context()).spec.provenance).startswith(small)


@pytest.mark.parametrize(("backend", "is_locked"), [("tensorrt", True), ("onnxruntime", False)])
def test_gpu_is_timed_while_no_other_process_builds(
    monkeypatch, tmp_path, graph, backend, is_locked
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    at_once = threading.Event()
    at_once.set()
    locked = []

    def is_held():
        try:
            with EngineCache().lock(at_once):
                return False
        except BuildCancelled:
            return True

    class Engine(FixedEngine):
        def infer(self, left, right):
            locked.append(is_held())
            return super().infer(left, right)

    engine = Engine(1.0, width=64, height=48)
    engine.spec = replace(engine.spec, backend=backend)
    monkeypatch.setattr(engine_choice, "open_engine", lambda *args, **options: engine)
    wanted, _ = engine_choice.choose_engine(values(models=graph, latency_budget_ms=1e4))

    assert wanted(Context()).spec.backend == backend

    assert set(locked) == {is_locked}
    assert not is_held()


@pytest.mark.parametrize("error", [OSError("read-only"), EngineError("cannot be written to")])
def test_gpu_is_timed_without_the_lock_where_the_cache_can_only_be_read(monkeypatch, graph, error):
    class ReadOnly:
        def lock(self, cancelled, waiting):
            raise error

    engine = FixedEngine(1.0, width=64, height=48)
    engine.spec = replace(engine.spec, backend="tensorrt")
    monkeypatch.setattr(engine_choice, "EngineCache", ReadOnly)
    monkeypatch.setattr(engine_choice, "open_engine", lambda *args, **options: engine)
    wanted, _ = engine_choice.choose_engine(values(models=graph, latency_budget_ms=1e4))

    assert wanted(Context()).spec.backend == "tensorrt"
