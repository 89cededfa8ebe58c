"""Real graphs, really timed with ONNX Runtime on the CPU."""

import logging
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest
from fakes import FixedEngine

from stereo_depth_ros.engines import EngineError, EngineLostError, open_engine
from stereo_depth_ros.engines.budget import measure_latency_ms, open_within
from stereo_depth_ros.engines.tensorrt import BuildCancelled
from stereo_depth_ros.model_card import ModelError


@pytest.fixture(scope="module")
def graphs(tmp_path_factory):
    """A large and a small graph of one network, exported, and the time that each takes in ms."""
    pytest.importorskip("torch", reason="needs the extra training")
    from stereo_depth_ros.export import export_onnx
    from stereo_depth_ros.networks import create_network

    folder = tmp_path_factory.mktemp("graphs")
    network = create_network("lite", "base").eval()
    found = {}
    for name, size in (("large", (256, 384)), ("small", (32, 64))):
        path = str(export_onnx(network, *size, folder / f"{name}.onnx"))
        engine = open_engine(path)
        found[path] = measure_latency_ms(engine)
        engine.close()
    return found


def test_with_time_to_spare_the_rest_is_not_even_opened(graphs):
    large, small = graphs
    opened = []

    def open_one(model):
        opened.append(model)
        return open_engine(model)

    engine = open_within(100 * graphs[large], [large, small], open_one)

    assert engine.spec.height == 256
    assert opened == [large]


def test_where_none_keeps_the_budget_the_fastest_is_taken_with_a_warning(graphs, caplog):
    large, small = graphs

    engine = open_within(graphs[small] / 1000, [small, large], open_engine)

    assert engine.spec.height == 32
    assert "the fastest, as none keeps the" in str(engine.spec.provenance)
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "small is the fastest" in warning.getMessage()


class Counted(FixedEngine):
    """Tells what becomes of it."""

    def __init__(self, log, name, failure=None, seconds=0.0):
        super().__init__(1.0, width=64, height=48)
        self.spec = replace(self.spec, name=name)
        self.log, self.name, self.failure, self.seconds = log, name, failure, seconds

    def infer(self, left, right):
        if self.failure:
            raise self.failure
        time.sleep(self.seconds)
        self.log.append((self.name, threading.current_thread().name))
        return super().infer(left, right)

    def close(self):
        self.log.append((self.name, "closed"))


def test_most_accurate_that_keeps_the_budget_is_taken(caplog):
    seconds = {"large": 0.4, "small": 0.0}

    with caplog.at_level(logging.INFO, "stereo_depth_ros"):
        engine = open_within(
            300.0, ["large", "small"], lambda name: Counted([], name, seconds=seconds[name])
        )

    assert engine.spec.name == "small"
    assert "the most accurate within 300 ms: large: " in str(engine.spec.provenance)
    measured = [m for m in caplog.messages if " ms allowed, on none" in m]
    assert [m.split(": ")[0] for m in measured] == ["large", "small"]


def test_model_that_cannot_be_opened_or_run_is_passed_over_and_named(caplog):
    log = []

    def open_one(name):
        if name == "absent":
            raise ModelError("model 'absent' is not known")
        return Counted(log, name, EngineError("no memory") if name == "huge" else None)

    engine = open_within(1e6, ["absent", "huge", "small"], open_one)

    assert engine.spec.name == "small"
    assert ("huge", "closed") in log
    assert caplog.messages == ["absent: model 'absent' is not known", "huge: no memory"]
    assert "absent: model 'absent' is not known, huge: no memory" in str(engine.spec.provenance)


def test_where_none_can_be_opened_every_reason_is_given():
    def open_one(name):
        raise EngineError(f"no {name}")

    with pytest.raises(EngineError, match=r"no model can be opened: a: no a\. b: no b"):
        open_within(1.0, ["a", "b"], open_one)


def test_cancelling_closes_what_is_open():
    log = []

    def open_one(name):
        if name == "b":
            raise BuildCancelled("cancelled")
        return Counted(log, name)

    with pytest.raises(BuildCancelled):
        open_within(0.0, ["a", "b"], open_one)

    assert log[-1] == ("a", "closed")


def test_gpu_that_is_lost_by_one_model_is_not_given_to_the_next():
    log = []

    with pytest.raises(EngineLostError, match="illegal address"):
        open_within(
            1.0, ["a", "b"], lambda name: Counted(log, name, EngineLostError("illegal address"))
        )

    assert log == [("a", "closed")]


def test_every_inference_is_run_where_the_owner_wants_and_alone():
    log, jobs = [], []

    def run(work):
        jobs.append(len(log))
        return work()

    measure_latency_ms(Counted(log, "a"), run)

    assert jobs == list(range(len(log)))
    assert len(log) == 21


def test_one_engine_is_open_at_a_time_and_the_fastest_is_opened_again():
    log, seconds = [], {"a": 0.03, "b": 0.0, "c": 0.02}

    def open_one(name):
        log.append((name, "opened"))
        return Counted(log, name, seconds=seconds[name])

    engine = open_within(0.0, ["a", "b", "c"], open_one)

    assert [entry for entry in log if entry[1] in ("opened", "closed")] == [
        *(("a", "opened"), ("a", "closed"), ("b", "opened"), ("b", "closed")),
        *(("c", "opened"), ("c", "closed"), ("b", "opened")),
    ]
    assert engine.spec.name == "b"


def test_the_last_is_not_opened_twice_where_it_is_the_fastest():
    log, seconds = [], {"a": 0.02, "b": 0.0}

    engine = open_within(0.0, ["a", "b"], lambda name: Counted(log, name, seconds=seconds[name]))

    assert engine.spec.name == "b"
    assert [entry for entry in log if entry[1] == "closed"] == [("a", "closed")]


def test_engine_is_measured_alone_and_opened_as_it_comes():
    log = []

    @contextmanager
    def alone(engine):
        log.append((engine.name, "alone"))
        yield
        log.append((engine.name, "not alone"))

    def open_one(name):
        log.append((name, "opened"))
        return Counted(log, name)

    open_within(1e6, ["a"], open_one, alone=alone)

    assert log[:2] == [("a", "opened"), ("a", "alone")]
    assert log[-1] == ("a", "not alone")
    assert len(log) > 3


def test_choice_on_the_cpu_that_a_failing_gpu_led_to_is_degraded():
    def open_one(name):
        engine = Counted([], name, seconds=0.02 if name == "net" else 0.0)
        refused = "no memory" if name == "net" else ""
        engine.spec = replace(engine.spec, device="CPU", degraded=refused)
        return engine

    engine = open_within(10.0, ["net", "sgbm"], open_one)

    assert (engine.spec.name, engine.spec.degraded) == ("sgbm", "no memory")


def test_what_was_measured_of_auto_is_told_of_the_model_that_it_is():
    engine = open_within(1e6, ["auto"], partial(open_engine, backend="opencv"))

    assert "the most accurate within 1e+06 ms: sgbm: " in str(engine.spec.provenance)
