"""Real graphs, really timed with ONNX Runtime on the CPU."""

import logging
import threading
from math import sqrt

import pytest
import yaml
from fakes import FixedEngine, save_graph

from stereo_depth_ros.engines import EngineError, open_engine
from stereo_depth_ros.engines.budget import by_accuracy, latency_ms, open_within
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
    for name, size in (("large", (256, 384)), ("small", (64, 96))):
        path = str(export_onnx(network, *size, folder / f"{name}.onnx"))
        engine = open_engine(path)
        found[path] = latency_ms(engine)
        engine.close()
    return found


def test_most_accurate_that_keeps_the_budget_is_taken(graphs, caplog):
    large, small = graphs
    budget = sqrt(graphs[large] * graphs[small])
    assert graphs[large] > 4 * graphs[small], "else the choice is left to chance"

    with caplog.at_level(logging.INFO, "stereo_depth_ros"):
        engine = open_within(budget, [large, small], open_engine)

    assert (engine.spec.height, engine.spec.width) == (64, 96)
    assert f"the most accurate within {budget:g} ms: {large}: " in engine.spec.provenance
    measured = [m for m in caplog.messages if " ms allowed, on CPU" in m]
    assert [m.split(": ")[0] for m in measured] == [large, small]


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

    assert engine.spec.height == 64
    assert "the fastest, as none keeps the" in engine.spec.provenance
    (warning,) = [r for r in caplog.records if r.levelno == logging.WARNING]
    assert "lite is the fastest" in warning.getMessage()


class Counted(FixedEngine):
    """Tells what becomes of it."""

    def __init__(self, log, name, failure=None):
        super().__init__(1.0, width=64, height=48)
        self.log, self.name, self.failure = log, name, failure

    def infer(self, left, right):
        if self.failure:
            raise self.failure
        self.log.append((self.name, threading.current_thread().name))
        return super().infer(left, right)

    def close(self):
        self.log.append((self.name, "closed"))


def test_what_is_not_taken_is_closed():
    log = []

    open_within(0.0, ["a", "b", "c"], lambda name: Counted(log, name))

    assert len([entry for entry in log if entry[1] == "closed"]) == 2


def test_model_that_cannot_be_opened_or_run_is_passed_over_and_named(caplog):
    log = []

    def open_one(name):
        if name == "absent":
            raise ModelError("model 'absent' is not known")
        return Counted(log, name, EngineError("no memory") if name == "huge" else None)

    engine = open_within(1e6, ["absent", "huge", "small"], open_one)

    assert engine.name == "small"
    assert ("huge", "closed") in log
    assert caplog.messages == ["absent: model 'absent' is not known", "huge: no memory"]
    assert "absent: model 'absent' is not known, huge: no memory" in engine.spec.provenance


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


def test_every_inference_is_run_where_the_owner_wants_and_alone():
    log, jobs = [], []

    def run(work):
        jobs.append(len(log))
        return work()

    latency_ms(Counted(log, "a"), run)

    assert jobs == list(range(len(log)))
    assert len(log) == 21


def write_card(folder, name, **measured):
    save_graph(folder / "net.onnx")
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump({"engine": "onnx", "file": "net.onnx", "measured": measured}))
    return str(path)


def test_order_is_that_of_the_measured_errors(tmp_path):
    cards = [
        write_card(tmp_path, name, on="the same", epe=epe)
        for name, epe in (("middle", 0.7), ("worst", 1.2), ("best", 0.4))
    ]

    assert by_accuracy(cards) == [cards[2], cards[0], cards[1]]


def test_order_given_stays_where_errors_cannot_be_compared(tmp_path):
    here = write_card(tmp_path, "here", on="this", epe=2.0)
    there = write_card(tmp_path, "there", on="that", epe=1.0)

    assert by_accuracy([here, there]) == [here, there]
    assert by_accuracy([here, "sgbm"]) == [here, "sgbm"]
    assert by_accuracy(["sgbm", "sgbm_hh"]) == ["sgbm", "sgbm_hh"]
