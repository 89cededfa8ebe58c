"""Which engine runs a graph where there is a GPU; the GPU is a stand-in, ONNX Runtime is not."""

import json
import logging
import threading
from functools import partial

import numpy as np
import pytest
import stand_ins
from gated_build import build_when_allowed, builder_of, is_alive, stand_in
from stand_ins import builds_of, save

from stereo_depth_ros.engines import Context, EngineError, EngineLostError, open_engine
from stereo_depth_ros.engines.tensorrt import BuildCancelled, BuildOptions, obtain, obtain_engine
from stereo_depth_ros.engines.tensorrt.device import NoGpuError
from stereo_depth_ros.engines.tensorrt.engine_file import copy_engine

RTX, TENSORRT = "tensorrt_rtx", "tensorrt"


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """gpu(refused=..., work=...): as `stand_in`, until the test ends."""
    return partial(
        stand_in, tmp_path / "cache", patch=monkeypatch.setattr, work=stand_ins.copy_graph
    )


def told(caplog):
    return [record.getMessage() for record in caplog.records]


def is_of_tensorrt(engine):
    return ".engine, " in str(engine.spec.provenance)


def test_tensorrt_comes_first_and_says_so_with_its_self_test(gpu, graph, caplog):
    gpu()

    engine = open_engine(str(graph))

    assert is_of_tensorrt(engine)
    assert "self-test: finite 100 %, cosine 1.00000" in str(engine.spec.provenance)
    assert str(engine.spec.provenance).endswith("; the first choice")
    assert told(caplog) == []
    left = np.full((48, 64, 3), 80, np.uint8)
    assert engine.infer(left, left)[0].max() == 20


PRIOR = ("prior", "prior_confidence")


def write_card(folder):
    path = folder / "card.yaml"
    path.write_text("{engine: onnx, file: net.onnx, prior: sgbm}")
    return str(path)


def assert_is_told_the_prior(engine):
    left = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    disparity, _ = engine.infer(left, np.roll(left, -6, axis=1))
    assert ", prior: OpenCV" in str(engine.spec.provenance)
    assert np.median(disparity - left[..., 0] / np.float32(4)) == pytest.approx(6, abs=0.1)


def test_tensorrt_is_told_the_prior_that_a_card_asks_for(gpu, tmp_path):
    save(tmp_path / "net.onnx", prior=PRIOR)
    gpu()

    engine = open_engine(write_card(tmp_path))

    assert is_of_tensorrt(engine)
    assert_is_told_the_prior(engine)
    (sidecar,) = (tmp_path / "cache").glob("*.json")
    assert json.loads(sidecar.read_text())["graph"]["takes_prior"] is True


def test_onnxruntime_in_its_place_is_told_it_too(gpu, tmp_path):
    save(tmp_path / "net.onnx", prior=PRIOR)
    gpu(refused=(TENSORRT, RTX))

    engine = open_engine(write_card(tmp_path))

    assert not is_of_tensorrt(engine)
    assert_is_told_the_prior(engine)


def test_prior_for_a_graph_that_takes_none_is_refused_on_the_gpu_too(gpu, graph):
    gpu()

    with pytest.raises(EngineError, match=r"nothing runs it here: TensorRT: .*has no inputs prior"):
        open_engine(write_card(graph.parent))
    with pytest.raises(EngineError, match=r"net\.onnx: has no inputs prior and prior_confidence"):
        open_engine(write_card(graph.parent), backend="tensorrt")
    assert builds_of(graph) == []


def test_tensorrt_rtx_comes_second_and_the_refusal_is_one_line(gpu, graph, caplog):
    gpu(refused=(TENSORRT,))

    engine = open_engine(str(graph))

    assert is_of_tensorrt(engine)
    assert told(caplog) == ["TensorRT is not used: no tensorrt here"]
    assert "the first choice that works (TensorRT: no tensorrt here)" in str(engine.spec.provenance)


def test_after_a_lost_gpu_nothing_else_is_tried_in_this_process(gpu, graph, tmp_path, caplog):
    save(tmp_path / "net.mixed.onnx")

    def lose(file):
        raise EngineLostError("cudaStreamSynchronize failed: an illegal memory access (700)")

    gpu(open_file=lose)

    with pytest.raises(EngineLostError, match="illegal memory access"):
        open_engine(str(graph))

    assert (builds_of(graph), told(caplog)) == ([], [])


def test_the_cpu_comes_last_with_a_line_for_each_refusal(gpu, graph, caplog):
    if "CUDAExecutionProvider" in pytest.importorskip("onnxruntime").get_available_providers():
        pytest.skip("this ONNX Runtime can use a GPU")
    gpu(refused=(TENSORRT, RTX))

    engine = open_engine(str(graph))

    assert (engine.spec.backend, engine.spec.device) == ("onnxruntime", "CPU")
    assert not is_of_tensorrt(engine)
    lines = told(caplog)
    assert [line.split(" is not used: ")[0] for line in lines] == [
        "TensorRT",
        "TensorRT-RTX",
        "ONNX Runtime on the GPU",
    ]
    assert "provider 'cuda' is not in this ONNX Runtime" in lines[2]


def test_build_that_fails_is_a_refusal(gpu, graph, caplog):
    gpu(work=stand_ins.refuse)

    engine = open_engine(str(graph), context=Context(providers=("cpu",)))

    assert not is_of_tensorrt(engine)
    assert "node Foo 'bar': no such thing" in told(caplog)[0]
    assert "node Foo 'bar': no such thing" in str(engine.spec.provenance)


def test_what_was_asked_for_is_not_answered_with_something_else(gpu, graph):
    gpu(refused=(TENSORRT, RTX))

    with pytest.raises(EngineError, match=r"nothing runs it here: TensorRT: no .*TensorRT-RTX: no"):
        open_engine(str(graph), backend="tensorrt")


def test_onnxruntime_asked_for_builds_nothing(gpu, graph):
    gpu()

    assert "asked for" in str(open_engine(str(graph), backend="onnxruntime").spec.provenance)
    assert builds_of(graph) == []


def test_without_a_gpu_nothing_is_logged_and_the_cpu_is_no_surprise(graph, caplog, monkeypatch):
    def find_device():
        raise NoGpuError("no driver here")

    monkeypatch.setattr("stereo_depth_ros.engines.open.find_device", find_device)

    with caplog.at_level(logging.INFO, "stereo_depth_ros"):
        engine = open_engine(str(graph))

    assert engine.spec.device == "CPU"
    assert str(engine.spec.provenance).endswith("; the first choice without a GPU")
    assert engine.spec.degraded == ""
    assert told(caplog) == []


def test_why_not_mixed_is_in_the_provenance(gpu, graph, tmp_path):
    gpu()
    save(tmp_path / "net.mixed.onnx", factor=0.5)

    engine = open_engine(str(graph))

    assert "not in mixed: fails its self-test: mean difference" in str(engine.spec.provenance)


def test_options_reach_the_build(gpu, graph, tmp_path):
    gpu()
    save(tmp_path / "net.mixed.onnx")

    open_engine(str(graph), context=Context(build=BuildOptions("fp32", level=2)))

    assert builds_of(graph) == ["fp32"]


def test_cancelling_goes_on_with_nothing_else(gpu, graph):
    gpu(work=build_when_allowed)
    context = Context(report=lambda progress: builder_of(graph) and context.cancelled.set())

    with pytest.raises(BuildCancelled):
        open_engine(str(graph), context=context)

    assert not is_alive(builder_of(graph))


def test_engines_are_opened_and_tested_where_the_caller_wants(gpu, graph):
    gpu()
    threads, reports = [], []

    def run(work):
        def counted():
            threads.append(threading.current_thread().name)
            return work()

        outcome = []
        thread = threading.Thread(target=lambda: outcome.append(counted()), name="owner")
        thread.start()
        thread.join()
        return outcome[0]

    def report(progress):
        reports.append(threading.current_thread().name)

    open_engine(str(graph), context=Context(run, report))

    assert threads == ["owner"], "the engine that passed the self-test is the one that is taken"
    assert set(reports) == {threading.current_thread().name}


@pytest.fixture
def prebuilt(gpu, graph, tmp_path):
    """The engine of ``graph`` as a file elsewhere, the cache being gone."""
    gpu()
    host = obtain.this_host("auto", None)
    path = tmp_path / "image" / "net.engine"
    copy_engine(obtain_engine(graph, BuildOptions(), host=host), path)
    host.cache.clear()
    return path


@pytest.mark.parametrize("backend", ["auto", TENSORRT])
def test_engine_that_was_built_beforehand_is_a_model(prebuilt, graph, backend):
    engine = open_engine(str(prebuilt), backend=backend)

    left = np.full((48, 64, 3), 80, np.uint8)
    assert engine.infer(left, left)[0].max() == 20
    assert str(prebuilt) in str(engine.spec.provenance)
    assert "self-test: finite 100 %" in str(engine.spec.provenance)
    assert builds_of(graph) == ["fp32"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"key": {"device": {"name": "Thor"}}}, r"it is for Thor, not Orin; build it on this"),
        ({"self_test": None}, "has not passed the self-test of this release; build it on this"),
        ({"self_test": {"mae": 9.0}}, r"mean difference 9\.00 px exceeds 0\.5"),
    ],
    ids=["of another GPU", "untested", "failed"],
)
def test_prebuilt_engine_that_does_not_fit_is_refused_with_the_cure(prebuilt, change, message):
    sidecar = prebuilt.with_suffix(".json")
    content = json.loads(sidecar.read_text())
    for name, value in change.items():
        content[name] = value if value is None else {**content[name], **value}
    sidecar.write_text(json.dumps(content))

    with pytest.raises(EngineError, match=message):
        open_engine(str(prebuilt))


def test_prebuilt_engine_runs_on_tensorrt_alone(prebuilt):
    with pytest.raises(EngineError, match="runs on backend tensorrt, not onnxruntime"):
        open_engine(str(prebuilt), backend="onnxruntime")
