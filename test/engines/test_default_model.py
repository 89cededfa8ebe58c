"""What the model "auto" is, and that it says why where it is not the network."""

from __future__ import annotations

import logging
import shutil
import sys
from types import ModuleType

import numpy as np
import pytest
import yaml
from added_models import add_graph, measure
from fakes import METADATA, save_graph
from numpy.testing import assert_array_equal

from stereo_depth_ros.engines import (
    Context,
    EngineError,
    EngineLostError,
    default_model,
    open_engine,
)
from stereo_depth_ros.engines.default_model import AUTO, graph_of, name_of
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.engines.tensorrt.device import NoGpuError
from stereo_depth_ros.model_card import ModelError
from stereo_depth_ros.share import share_directory

PAIR = np.random.default_rng(0).integers(0, 256, (2, 48, 64, 3), dtype=np.uint8)


@pytest.fixture
def models(tmp_path, monkeypatch):
    """The folder of installed models, with a small graph of known answers as lite."""
    folder = tmp_path / "models"
    folder.mkdir()
    shutil.copy(share_directory() / "models" / "sgbm.yaml", folder)
    (folder / "lite.yaml").write_text("{engine: onnx, network: lite, file: lite.onnx}")
    save_graph(folder / "lite.onnx", 64, 48, metadata={**METADATA, "network": "lite"})
    monkeypatch.setattr("stereo_depth_ros.artifact.share_directory", lambda: tmp_path)
    return folder


def assert_is(engine, model):
    """Check that ``engine`` answers as ``model`` does."""
    assert engine.spec.name == model
    answers = zip(engine.infer(*PAIR), open_engine(model).infer(*PAIR), strict=True)
    for found, wanted in answers:
        assert_array_equal(found, wanted)


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_auto_is_the_network_where_it_runs(models, caplog, backend):
    engine = open_engine(AUTO, backend=backend)

    assert_is(engine, "lite")
    assert "lite.onnx" in str(engine.spec.provenance)
    assert engine.spec == open_engine("lite", backend=backend).spec
    assert caplog.messages == []


def test_auto_is_the_network_that_is_installed():
    engine = open_engine(AUTO)

    assert (engine.spec.name, engine.spec.backend) == ("lite", "onnxruntime")
    engine.close()


WIDE = Context(max_disparity=32)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"backend": "opencv"}, "backend opencv runs no networks"),
        ({"context": WIDE}, "max_disparity is set and the search range of lite is fixed"),
        ({"backend": "opencv", "context": WIDE}, "backend opencv runs no networks"),
    ],
)
def test_auto_is_the_matcher_where_only_that_does_what_is_asked(models, caplog, asked, why):
    engine = open_engine(AUTO, **asked)

    assert engine.spec.name == "sgbm"
    assert engine.spec.max_disparity == (32 if "context" in asked else None)
    assert str(engine.spec.provenance).endswith(f"; model auto is sgbm here, as {why}")
    assert engine.spec.degraded == ""
    assert caplog.messages == [], "who asked for it knows"


def no_runtime(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)


def remains_of_a_runtime(models, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", ModuleType("onnxruntime"))


def no_graph(models, monkeypatch):
    (models / "lite.onnx").unlink()


def no_card(models, monkeypatch):
    (models / "lite.yaml").unlink()


def damaged_graph(models, monkeypatch):
    (models / "lite.onnx").write_bytes(b"no\ngraph")


@pytest.mark.parametrize(
    ("fault", "cause", "cure"),
    [
        (no_runtime, "backend onnxruntime: ", "pip install onnxruntime"),
        (remains_of_a_runtime, "no attribute 'InferenceSession'", "pip install onnxruntime"),
        (no_graph, "lite.onnx does not exist", "reinstall the package"),
        (no_card, "model 'lite' is not known", "installed are sgbm"),
        (damaged_graph, "cannot load this graph", "Export it again"),
    ],
)
def test_auto_is_the_matcher_where_the_network_fails_and_says_why_in_one_line(
    models, monkeypatch, caplog, fault, cause, cure
):
    fault(models, monkeypatch)

    engine = open_engine(AUTO)

    assert_is(engine, "sgbm")
    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelno == logging.WARNING
    assert text.startswith("model auto is sgbm here, as lite, which is more accurate, cannot be op")
    assert cause in text
    assert cure in text
    assert "\n" not in text
    assert str(engine.spec.provenance).endswith(f"; {text}")
    assert engine.spec.degraded == "", "there is no GPU"


def test_reason_of_any_length_stays_readable(models, caplog):
    (models / "lite.yaml").write_text(f"{{engine: onnx, file: {'x' * 5000}}}")

    open_engine(AUTO)

    assert 200 < len(caplog.messages[0]) < 1000


def test_size_that_the_network_does_not_take_is_one_for_the_matcher(models, caplog):
    assert open_engine(AUTO, height=48, width=64).spec.name == "lite"
    assert caplog.messages == []

    assert open_engine(AUTO, height=40, width=64).spec.name == "sgbm"
    assert "takes 64 x 48 images, not 64 x 40" in caplog.text


@pytest.mark.parametrize("backend", ["onnxruntime", "tensorrt"])
def test_backend_of_networks_rules_the_matcher_out(models, monkeypatch, caplog, backend):
    no_graph(models, monkeypatch)

    with pytest.raises(ModelError, match=r"lite\.onnx does not exist"):
        open_engine(AUTO, backend=backend)
    with pytest.raises(EngineError, match="'lite': the search range of a graph is fixed"):
        open_engine(AUTO, backend=backend, context=Context(max_disparity=32))
    assert caplog.messages == []


def test_unknown_backend_is_refused():
    with pytest.raises(EngineError, match="backend 'cuda' is not known"):
        open_engine(AUTO, backend="cuda")


def test_gpu_alone_rules_the_matcher_out(models):
    with pytest.raises(EngineError, match=r"lite\.onnx: nothing runs it here"):
        open_engine(AUTO, context=Context(gpu_only=True))


@pytest.mark.parametrize("error", [BuildCancelled("cancelled"), EngineLostError("illegal access")])
def test_cancelled_builds_and_lost_gpus_are_not_hidden(error):
    def open_one(model, backend):
        assert model == "lite"
        raise error

    with pytest.raises(type(error)) as caught:
        default_model.open_auto(open_one, "auto", Context())

    assert caught.value is error


@pytest.mark.parametrize(
    ("answer", "is_degraded"),
    [(None, True), (EngineError("error 999"), True), (NoGpuError("no driver"), False)],
    ids=["gpu", "gpu_that_fails", "no_gpu"],
)
def test_matcher_despite_a_gpu_is_degraded(models, monkeypatch, answer, is_degraded):
    no_graph(models, monkeypatch)

    def find_device():
        if answer:
            raise answer

    monkeypatch.setattr(default_model, "find_device", find_device)

    spec = open_engine(AUTO).spec

    assert spec.name == "sgbm"
    assert ("lite.onnx does not exist" in spec.degraded) == is_degraded
    assert bool(spec.degraded) == is_degraded


def test_names_to_build_and_to_show(models):
    assert [graph_of(m) for m in (AUTO, "sgbm", "net.onnx")] == ["lite", "sgbm", "net.onnx"]
    assert name_of(AUTO, open_engine(AUTO)) == "lite"
    assert name_of(AUTO, open_engine(AUTO, backend="opencv")) == "sgbm"
    assert name_of("mine.yaml", open_engine("sgbm")) == "mine.yaml"


# -- with models that the user added ---------------------------------------------------------------

PAIRS = "ab" * 32


@pytest.fixture
def better(models, models_home):
    """A model with half the error of lite on the same pairs, and fast enough."""
    add_graph("better")
    measure("better", 0.5, PAIRS, ms=40.0)
    measure("lite", 1.0, PAIRS, ms=20.0)
    return models_home / "better"


@pytest.mark.parametrize("backend", ["auto", "onnxruntime"])
def test_auto_is_an_added_model_that_is_better_and_fast_enough_and_says_so(better, caplog, backend):
    engine = open_engine(AUTO, backend=backend)

    assert_is(engine, "better")
    line = str(engine.spec)
    assert line.endswith(
        "; better is the most accurate that was measured to keep 100 ms here (40 ms)"
    )
    assert "\n" not in line
    assert caplog.messages == []
    assert (graph_of(AUTO), name_of(AUTO, engine)) == ("better", "better")


def test_auto_is_lite_where_the_better_one_is_too_slow(better):
    measure("better", ms=120.0)

    engine = open_engine(AUTO)

    assert_is(engine, "lite")
    assert str(engine.spec).endswith("; lite, as better, which is more accurate, takes 120 ms here")
    assert graph_of(AUTO) == "lite"


def test_auto_is_lite_where_the_other_was_measured_on_other_pairs_and_says_what_to_do(
    models, models_home
):
    add_graph("better")
    measure("better", 0.5, PAIRS, ms=40.0)
    measure("lite", 1.0, "cd" * 32, ms=20.0)

    engine = open_engine(AUTO)

    assert_is(engine, "lite")
    assert str(engine.spec).endswith(
        "; lite, as better was not compared with it: 'stereo-depth evaluate --model lite --model "
        "better' on pairs with truth does that"
    )


def test_auto_is_lite_where_the_graph_was_replaced_after_it_was_measured(better):
    add_graph("better", 96)

    assert_is(open_engine(AUTO), "lite")


def alter_graph(folder):
    with (folder / "better.onnx").open("ab") as graph:
        graph.write(b"more")


def remove_graph(folder):
    (folder / "better.onnx").unlink()


def name_unknown_engine(folder):
    card = yaml.safe_load((folder / "better.yaml").read_text())
    (folder / "better.yaml").write_text(yaml.safe_dump({**card, "engine": "tflite"}))


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (alter_graph, "altered or truncated"),
        (remove_graph, "add it again with 'stereo-depth models add better'"),
        (name_unknown_engine, "its card names engine 'tflite'"),
    ],
)
def test_auto_is_lite_where_the_better_one_cannot_be_opened_and_warns_once(
    better, caplog, fault, cause
):
    fault(better)

    engine = open_engine(AUTO)

    (record,) = caplog.records
    text = record.getMessage()
    assert record.levelno == logging.WARNING
    assert text.startswith("better, which is more accurate, cannot be opened: ")
    assert cause in text
    assert str(engine.spec).endswith(f"; {text}")
    caplog.clear()
    assert_is(engine, "lite")


def test_auto_is_the_matcher_where_no_network_runs(better, models, monkeypatch, caplog):
    no_runtime(models, monkeypatch)

    engine = open_engine(AUTO)

    assert engine.spec.name == "sgbm"
    first, second = caplog.messages
    assert first.startswith("better, which is more accurate, cannot be opened: ")
    assert second.startswith("model auto is sgbm here, as lite, which is more accurate, cannot be ")


@pytest.mark.parametrize("asked", [{"backend": "opencv"}, {"context": WIDE}])
def test_auto_is_the_matcher_where_only_that_does_what_is_asked_whatever_was_added(better, asked):
    assert open_engine(AUTO, **asked).spec.name == "sgbm"


@pytest.mark.parametrize("error", [BuildCancelled("cancelled"), EngineLostError("illegal access")])
def test_cancelled_builds_of_an_added_model_and_lost_gpus_are_not_hidden(better, error):
    def open_one(model, backend):
        assert model == "better"
        raise error

    with pytest.raises(type(error)) as caught:
        default_model.open_auto(open_one, "auto", Context())

    assert caught.value is error
