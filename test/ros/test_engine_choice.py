"""Parameters to engines: what serves during a build, and what is measured alone."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from added_models import CARD_PAIRS, add_graph, measure
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


# -- latency_budget_ms without models: auto --------------------------------------------------------

BUDGET = {"latency_budget_ms": 1e4, "models": "", "model": "auto"}


def test_budget_without_models_takes_the_better_of_the_shipped_ones(models_home):
    chosen, _ = engine_choice.choose_engine(values(**BUDGET))

    engine = chosen(Context())

    assert engine.spec.name == "lite"
    assert "; the most accurate within 10000 ms: lite: " in str(engine.spec.provenance)


@pytest.mark.parametrize(
    ("epe", "best"), [(0.5, "net"), (1.5, "lite"), (None, "lite")], ids=["better", "worse", "none"]
)
def test_budget_without_models_takes_an_added_model_that_is_better(models_home, epe, best):
    add_graph("net")
    measure("net", epe, CARD_PAIRS)

    chosen, _ = engine_choice.choose_engine(values(**BUDGET))

    assert chosen(Context()).spec.name == best


def test_budget_that_none_keeps_without_models_takes_the_fastest(models_home):
    add_graph("net", 16, 12)  # takes next to no time
    measure("net", 1.5, CARD_PAIRS)
    budget = {**BUDGET, "latency_budget_ms": 1e-3}

    engine = engine_choice.choose_engine(values(**budget))[0](Context())

    assert engine.spec.name == "net"
    text = str(engine.spec.provenance)
    assert "; the fastest, as none keeps the 0.001 ms: lite: " in text
    assert text.index("lite: ") < text.index("sgbm: ") < text.index("net: "), "by accuracy"


def test_added_model_that_cannot_be_opened_is_passed_over(models_home, caplog):
    (add_graph("net") / "net.onnx").unlink()
    measure("net", 0.5, CARD_PAIRS)

    engine = engine_choice.choose_engine(values(**BUDGET))[0](Context())

    assert engine.spec.name == "lite"
    (warning,) = [m for m in caplog.messages if m.startswith("net: ")]
    assert "stereo-depth models add net" in warning


def test_budget_without_lite_still_has_the_matcher(tmp_path, monkeypatch):
    (tmp_path / "models").mkdir()
    shutil.copy(share_directory() / "models" / "sgbm.yaml", tmp_path / "models")
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)

    assert engine_choice.choose_engine(values(**BUDGET))[0](Context()).spec.name == "sgbm"


def test_added_model_serves_while_the_better_one_is_built(gpu, models_home):
    gpu(DESKTOP)
    add_graph("net")
    measure("net", 1.1, CARD_PAIRS)

    _, meanwhile = engine_choice.choose_engine(values(**BUDGET))

    assert meanwhile(Context()).spec.name == "net", "the least accurate graph"


def test_budget_with_one_model_and_no_list_is_refused():
    with pytest.raises(ValueError, match="models, which is empty; list some, or set model to auto"):
        engine_choice.choose_engine(values(**{**BUDGET, "model": "lite"}))


def test_list_without_a_budget_is_refused():
    with pytest.raises(ValueError, match="models takes effect only with latency_budget_ms"):
        engine_choice.choose_engine(values(models="lite, sgbm"))


@pytest.mark.parametrize("model", ["auto", "better"])
def test_listed_auto_is_the_best_that_was_measured(models_home, model):
    add_graph("better")
    measure("better", 0.5, CARD_PAIRS, ms=5.0)

    chosen, _ = engine_choice.choose_engine(values(latency_budget_ms=1e4, models=f"sgbm, {model}"))

    assert chosen(Context()).spec.name == "better"
