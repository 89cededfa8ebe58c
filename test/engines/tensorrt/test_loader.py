"""A real child builds, ONNX Runtime runs, and one thread owns every engine."""

import threading
import time
from functools import partial

import numpy as np
import onnx
import pytest
import stand_ins
from gated_build import builder_of, is_alive, let_through, stand_in, wait_for
from stand_ins import engines_in, save

from stereo_depth_ros.engines import EngineError, open_engine
from stereo_depth_ros.engines.loader import EngineLoader
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.ros.worker import LatestWorker

LEFT = np.full((48, 64, 3), 80, np.uint8)


@pytest.fixture
def worker():
    worker = LatestWorker(lambda item: None, "owner")
    yield worker
    assert worker.close(10.0)


@pytest.fixture
def loader(worker):
    loader = EngineLoader(worker.call)
    yield loader
    loader.close()


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


@pytest.fixture
def gpu(tmp_path, monkeypatch):
    """gpu(work=...): as `stand_in`, until the test ends."""
    return partial(stand_in, tmp_path / "cache", patch=monkeypatch.setattr)


@pytest.fixture
def other(tmp_path):
    """A graph that answers half of what ``graph`` does, to tell the fallback by."""
    folder = tmp_path / "other"
    folder.mkdir()
    return save(folder / "net.onnx", factor=0.125)


def opener(graph, backend="tensorrt"):
    return lambda context: open_engine(str(graph), backend=backend, context=context)


def answer(worker, loader):
    return worker.call(lambda: loader.engine.infer(LEFT, LEFT)[0].max())


def test_what_needs_no_build_is_there_at_once(worker, loader, graph):
    loader.start(opener(graph, "onnxruntime"), fallback=lambda caller: pytest.fail("not needed"))

    assert answer(worker, loader) == 20
    assert (loader.progress, loader.error) == (None, None)


def test_fallback_serves_during_the_build_and_gives_way_when_it_is_done(
    worker, loader, gpu, graph, other
):
    gpu()

    loader.start(opener(graph), opener(other, "onnxruntime"))

    wait_for(lambda: loader.engine.is_ready)
    assert answer(worker, loader) == 10
    wait_for(lambda: loader.progress.percent == 42 and loader.progress.step == "waiting")
    assert answer(worker, loader) == 10
    let_through(graph)
    wait_for(lambda: loader.progress is None)
    assert answer(worker, loader) == 20
    assert ".engine, " in str(loader.engine.spec.provenance)
    assert loader.error is None


def test_engine_that_is_kept_is_opened_without_a_fallback(worker, loader, gpu, graph):
    gpu(work=stand_ins.copy_graph)
    open_engine(str(graph), backend="tensorrt").close()

    loader.start(opener(graph), fallback=lambda caller: pytest.fail("not needed"))

    assert answer(worker, loader) == 20


def test_without_a_fallback_there_is_no_engine_until_the_build_is_done(worker, loader, gpu, graph):
    gpu()

    loader.start(opener(graph))

    assert not loader.engine.is_ready
    with pytest.raises(EngineError, match="no engine is loaded"):
        answer(worker, loader)
    let_through(graph)
    wait_for(lambda: loader.progress is None)
    assert answer(worker, loader) == 20


def test_fallback_that_cannot_be_opened_does_not_stop_the_build(worker, loader, gpu, graph, caplog):
    gpu()

    loader.start(opener(graph), opener(graph, "opencv"))

    wait_for(lambda: "nothing is published until it is built: " in caplog.text)
    let_through(graph)
    wait_for(lambda: loader.engine.is_ready)


def test_one_thread_does_everything_with_every_engine(
    worker, loader, gpu, graph, other, monkeypatch
):
    seen = set()

    def watched(name):
        original = getattr(OnnxRuntimeEngine, name)

        def method(*arguments, **options):
            seen.add((name, threading.current_thread().name))
            return original(*arguments, **options)

        monkeypatch.setattr(OnnxRuntimeEngine, name, method)

    for name in ("__init__", "infer", "close"):
        watched(name)
    gpu()
    loader.start(opener(graph), opener(other, "onnxruntime"))
    let_through(graph)
    wait_for(lambda: loader.progress is None)
    answer(worker, loader)
    loader.close()

    assert seen == {(name, "owner") for name in ("__init__", "infer", "close")}


def test_pair_is_answered_by_one_engine_from_begin_to_end(worker, loader, gpu, graph, other):
    gpu()
    loader.start(opener(graph), opener(other, "onnxruntime"))
    wait_for(lambda: loader.engine.is_ready)
    begun, go_on = threading.Event(), threading.Event()

    def pair():
        first = loader.engine.infer(LEFT, LEFT)[0].max()
        begun.set()
        assert go_on.wait(60)
        return first, loader.engine.infer(LEFT, LEFT)[0].max()

    found = []
    thread = threading.Thread(target=lambda: found.append(worker.call(pair)))
    thread.start()
    assert begun.wait(10)
    let_through(graph)
    # The build is over soon; the self-test and the swap have to wait for the pair.
    wait_for(lambda: not is_alive(builder_of(graph)))
    time.sleep(0.2)
    go_on.set()
    thread.join()

    assert found == [(10, 10)]
    wait_for(lambda: loader.progress is None)
    assert answer(worker, loader) == 20


def test_closing_in_the_middle_of_a_build_leaves_no_process_and_no_file(
    worker, gpu, graph, tmp_path
):
    gpu()
    loader = EngineLoader(worker.call)
    loader.start(opener(graph), opener(graph, "onnxruntime"))
    wait_for(lambda: builder_of(graph))

    began = time.monotonic()
    loader.close()

    assert time.monotonic() - began < 15
    assert not is_alive(builder_of(graph))
    assert engines_in(tmp_path / "cache") == []
    assert not loader.engine.is_ready
    assert loader.progress is None


def test_build_that_fails_is_an_error_and_leaves_the_fallback(worker, loader, gpu, graph, caplog):
    gpu()
    loader.start(opener(graph), opener(graph, "onnxruntime"))

    let_through(graph, "fail")

    wait_for(lambda: loader.progress is None)
    assert "node Foo 'bar': no such thing" in loader.error
    assert loader.error in caplog.text
    assert answer(worker, loader) == 20


def test_auto_ends_on_onnxruntime_where_the_build_fails(worker, loader, gpu, graph):
    gpu()
    loader.start(opener(graph, "auto"))

    let_through(graph, "fail")

    wait_for(lambda: loader.engine.is_ready)
    assert "node Foo 'bar': no such thing" in str(loader.engine.spec.provenance)
    assert loader.error is None


def test_error_before_any_build_is_raised(loader, tmp_path):
    with pytest.raises(ValueError, match=r"absent\.onnx does not exist"):
        loader.start(opener(tmp_path / "absent.onnx"))


def test_weights_that_forbid_commercial_use_are_named(loader, tmp_path, caplog):
    graph = save(tmp_path / "net.onnx", licence="CC-BY-NC-4.0", commercial="false")

    loader.start(opener(graph, "onnxruntime"))

    told = "net: its licence (CC-BY-NC-4.0) does not allow commercial use"
    assert caplog.messages.count(told) == 1


def test_closing_twice_is_harmless(worker, graph):
    loader = EngineLoader(worker.call)
    loader.start(opener(graph, "onnxruntime"))

    loader.close()
    loader.close()


def test_build_of_a_broken_graph_is_refused_before_it_begins(loader, gpu, graph):
    gpu()
    model = onnx.load(str(graph))
    model.graph.node.append(onnx.helper.make_node("NonZero", ["left"], ["unread"]))
    onnx.save(model, str(graph))

    with pytest.raises(EngineError, match="operator NonZero"):
        loader.start(opener(graph))
