import hashlib
import logging
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import METADATA, save_graph
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines import BACKEND_NAMES, Context, EngineError, open_engine
from stereo_depth_ros.engines import open as opening
from stereo_depth_ros.engines.tensorrt import device, obtain
from stereo_depth_ros.engines.tensorrt.device import NoGpuError
from stereo_depth_ros.model_card import ModelError


@pytest.fixture
def graph(tmp_path):
    return save_graph(tmp_path / "net.onnx")


def write_card(folder, text):
    path = folder / "card.yaml"
    path.write_text(text)
    return str(path)


@pytest.mark.parametrize(("model", "mode"), [("sgbm", "3way"), ("sgbm_hh", "hh")])
def test_installed_model_is_opened_by_name(model, mode):
    spec = open_engine(model).spec

    assert (spec.name, spec.backend) == (model, "opencv")
    assert f"mode {mode}" in str(spec.provenance)


def test_graph_is_opened_by_path_and_answers(graph):
    left = np.random.default_rng(0).integers(0, 256, (12, 16, 3), dtype=np.uint8)

    engine = open_engine(str(graph))

    assert engine.spec.backend == "onnxruntime"
    assert_array_equal(engine.infer(left, left)[0], left[..., 0] / np.float32(4))


def test_graph_is_opened_by_its_card(tmp_path, graph):
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    card = write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")

    assert open_engine(card).spec.name == "card"


@pytest.mark.parametrize(
    ("of_card", "of_graph", "commercial"),
    [("", "true", True), ("", "false", False), ("commercial: false", "true", False)],
    ids=["allowed", "forbidden_by_the_graph", "forbidden_by_the_card"],
)
def test_commercial_use_must_be_allowed_by_graph_and_card(tmp_path, of_card, of_graph, commercial):
    terms = {"licence": "CC-BY-NC-4.0", "commercial": of_graph}
    save_graph(tmp_path / "net.onnx", metadata={**METADATA, **terms})
    card = write_card(tmp_path, f"engine: onnx\nfile: net.onnx\n{of_card}")

    spec = open_engine(card).spec

    assert (spec.licence, spec.commercial) == ("CC-BY-NC-4.0", commercial)


def test_graph_that_says_nothing_of_terms_may_be_used(graph):
    assert open_engine(str(graph)).spec.commercial


def test_provenance_says_whether_the_backend_was_asked_for(graph):
    assert "asked for" in str(open_engine(str(graph), backend="onnxruntime").spec.provenance)
    assert "asked for" not in str(open_engine(str(graph)).spec.provenance)


def test_unknown_model_lists_the_installed_ones():
    with pytest.raises(ModelError, match=r"'sgmb' is not known; installed are .*sgbm"):
        open_engine("sgmb")


def test_missing_graph_is_named():
    with pytest.raises(ModelError, match=r"absent\.onnx does not exist"):
        open_engine("absent.onnx")


def test_altered_graph_is_refused(tmp_path, graph):
    digest = hashlib.sha256(graph.read_bytes()).hexdigest()
    card = write_card(tmp_path, f"engine: onnx\nfile: net.onnx\nsha256: '{digest}'")
    altered = bytearray(graph.read_bytes())
    altered[-1] ^= 1
    graph.write_bytes(altered)

    with pytest.raises(ModelError, match=r"net\.onnx is altered or truncated"):
        open_engine(card)


def test_unknown_backend_lists_the_known_ones():
    with pytest.raises(
        EngineError, match=rf"'cuda' is not known; known are {', '.join(BACKEND_NAMES)}"
    ):
        open_engine("sgbm", backend="cuda")


def test_backend_that_does_not_run_the_model_is_refused(graph):
    with pytest.raises(EngineError, match="'sgbm' runs on backend opencv, not onnxruntime"):
        open_engine("sgbm", backend="onnxruntime")
    with pytest.raises(EngineError, match=r"'net' runs on backend tensorrt or onnxruntime, not op"):
        open_engine(str(graph), backend="opencv")


def test_unknown_engine_of_a_card_lists_the_known_ones(tmp_path):
    card = write_card(tmp_path, "engine: magic")

    with pytest.raises(EngineError, match="engine 'magic'; known are onnx, sgbm and tensorrt"):
        open_engine(card)


def test_graph_of_another_size_is_refused_with_both_sizes(graph):
    with pytest.raises(EngineError, match="takes 16 x 12 images, not 640 x 480"):
        open_engine(str(graph), height=480, width=640)


def test_size_of_the_graph_is_accepted(graph):
    assert open_engine(str(graph), height=12, width=16).spec.width == 16


def test_any_size_is_accepted_by_a_model_that_takes_any():
    assert open_engine("sgbm", height=480, width=640).spec.width is None


def test_search_range_reaches_the_engine():
    assert open_engine("sgbm", context=Context(max_disparity=96)).spec.max_disparity == 96.0


def test_providers_reach_the_engine(graph):
    with pytest.raises(EngineError, match="provider 'nonsense'"):
        open_engine(str(graph), context=Context(providers=("nonsense",)))


def test_options_of_a_card_reach_the_engine(tmp_path):
    card = write_card(tmp_path, "{engine: sgbm, options: {mode: hh}}")

    assert "mode hh" in str(open_engine(card).spec.provenance)


def test_search_range_of_a_card_reaches_the_engine(tmp_path):
    card = write_card(tmp_path, "{engine: sgbm, options: {max_disparity: 64}}")

    assert open_engine(card).spec.max_disparity == 64.0


def test_unknown_option_of_a_card_is_an_error_that_names_it(tmp_path):
    card = write_card(tmp_path, "{engine: sgbm, options: {made: hh}}")

    with pytest.raises((EngineError, ModelError), match="made"):
        open_engine(card)


@pytest.fixture
def gpu(monkeypatch):
    """gpu(error): a GPU whose TensorRT is refused, or, with an error, one that does not answer."""

    def install(error=None):
        def find_device():
            if error:
                raise error

        def this_host(cuda_backend, runtime_name):
            raise EngineError(f"{runtime_name} has too little memory")

        monkeypatch.setattr(opening, "find_device", find_device)
        monkeypatch.setattr(obtain, "this_host", this_host)

    return install


def test_the_cpu_instead_of_a_gpu_is_degraded_with_every_reason(gpu, graph, caplog):
    gpu()

    spec = open_engine(str(graph)).spec

    assert spec.device == "CPU"
    assert "TensorRT: tensorrt has too little memory. TensorRT-RTX: tensorrt_rtx" in spec.degraded
    assert "ONNX Runtime on the GPU: " in spec.degraded
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 3


def test_gpu_whose_driver_fails_is_no_absent_one(gpu, graph, caplog):
    gpu(EngineError("the NVIDIA driver refuses cuInit: unknown (error 999)"))

    spec = open_engine(str(graph)).spec

    assert (spec.device, spec.degraded[-11:]) == ("CPU", "(error 999)")
    assert caplog.messages == ["the GPU is not used: " + spec.degraded]


def test_the_cpu_asked_for_is_not_degraded(gpu, graph):
    gpu()

    assert open_engine(str(graph), backend="onnxruntime").spec.degraded == ""


def test_reason_of_any_length_stays_readable(gpu, graph):
    gpu(EngineError("very long " * 1000))

    assert 100 < len(open_engine(str(graph)).spec.degraded) <= 600


@pytest.mark.parametrize("model", ["sgbm", None])
def test_gpu_alone_is_refused_where_only_the_cpu_is_left(gpu, graph, model):
    gpu()

    with pytest.raises(EngineError, match=r"the CPU alone|here: TensorRT: tensorrt"):
        open_engine(model or str(graph), context=Context(gpu_only=True))


def test_without_a_driver_the_reason_is_for_those_who_ask(graph, caplog, monkeypatch):
    def find_device():
        raise NoGpuError("libcuda.so.1: cannot open")

    monkeypatch.setattr(opening, "find_device", find_device)

    with caplog.at_level(logging.DEBUG, "stereo_depth_ros"):
        spec = open_engine(str(graph)).spec

    assert str(spec).startswith("net on onnxruntime (CPU, fp32, 16x12): ")
    assert str(spec).endswith("; the first choice without a GPU")
    assert caplog.messages == ["on the CPU: libcuda.so.1: cannot open"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(34, NoGpuError), (100, NoGpuError), (999, EngineError), (803, EngineError)],
)
def test_driver_without_a_gpu_is_told_from_one_that_fails(monkeypatch, status, kind):
    driver = SimpleNamespace(cuInit=lambda flags: status, cuGetErrorString=lambda status, text: 0)
    monkeypatch.setattr(device.ctypes, "CDLL", lambda name: driver)

    with pytest.raises(EngineError) as caught:
        device.find_device()

    assert type(caught.value) is kind
