"""When an engine is opened again, and who waits for it; the openers are the test's own."""

import threading
import time
from dataclasses import replace

import numpy as np
import pytest
from fakes import FixedEngine

from stereo_depth_ros.engines import EngineError, EngineLostError, loader, swap
from stereo_depth_ros.engines.backend import BUDGET_MS
from stereo_depth_ros.engines.tensorrt import BuildProgress
from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.ros.worker import LatestWorker

PAIR = (np.zeros((4, 6, 3), np.uint8),) * 2


class Known(FixedEngine):
    """An engine that tells when it is closed."""

    def __init__(self, disparity, device, degraded=""):
        super().__init__(disparity)
        self.spec = replace(self.spec, device=device, degraded=degraded)
        self.closed = False

    def close(self):
        self.closed = True


def wait_for(condition, seconds=60.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)


@pytest.fixture
def worker():
    worker = LatestWorker(lambda item: None, "owner")
    yield worker
    assert worker.close(10.0)


@pytest.fixture
def loading(worker, monkeypatch):
    monkeypatch.setattr(loader, "RETRY_S", 0.0)
    loading = loader.EngineLoader(worker.call)
    yield loading
    loading.close()


SIZES = AnySize((48, 64), (1, 1), 32)


def test_model_is_opened_again_for_the_size_of_the_images_once(loading):
    contexts = []

    def opener(context):
        contexts.append((context.size, context.awaits_size, context.budget_ms))
        engine = Known(1.0, "CPU", degraded="the GPU is waited for" if len(contexts) == 1 else "")
        engine.spec = replace(engine.spec, sizes=SIZES)
        return engine

    loading.start(opener)
    first = loading.engine.spec
    for _ in range(2):
        loading.fit((30, 40), 33.0)
        wait_for(lambda: len(contexts) == 2 and loading.engine.spec != first)

    def fit_again():
        loading.fit((60, 80))  # which is not heard while the one before is still being opened
        return len(contexts) == 3

    wait_for(fit_again)

    # What waits for a size is not tried again without one.
    assert contexts == [
        (None, True, BUDGET_MS),
        ((30, 40), False, 33.0),
        ((60, 80), False, BUDGET_MS),
    ]
    assert loading.error is None


def test_engine_of_the_moment_serves_where_the_next_cannot_be_opened(loading):
    def opener(context):
        if context.size is not None:
            raise EngineError("not at that size")
        engine = Known(1.0, "CPU")
        engine.spec = replace(engine.spec, sizes=SIZES)
        return engine

    loading.start(opener)
    loading.fit((30, 40))
    wait_for(lambda: loading.error is not None)

    assert loading.error == "not at that size"
    assert loading.engine.is_ready


def test_nobody_waits_until_the_fallback_has_warmed_up(loading, worker):
    warm, built = threading.Event(), threading.Event()
    slow, fast = Known(1.0, "CPU"), Known(2.0, "GPU")

    def wanted(caller):
        caller.report(BuildProgress(None, 0.0, "building"))
        assert built.wait(60)
        return fast

    def fallback(caller):
        assert warm.wait(60)
        return slow

    loading.start(wanted, fallback)

    assert not loading.engine.is_ready
    assert loading.progress.step == "building"
    warm.set()
    wait_for(lambda: loading.engine.is_ready)
    assert loading.engine.spec == slow.spec
    built.set()
    wait_for(lambda: loading.engine.spec == fast.spec)
    assert slow.closed


class Refusing(Known):
    def infer(self, left, right):
        raise EngineError("out of memory")


def test_fallback_that_fails_beside_a_build_does_not_end_it(loading, worker, monkeypatch):
    monkeypatch.setattr(swap, "MAX_FAILURES", 2)
    monkeypatch.setattr(swap, "MAX_FAILING_S", 0.0)
    built = threading.Event()

    def wanted(caller):
        caller.report(BuildProgress(None, 0.0, "building"))
        assert built.wait(60)
        raise EngineError("no such thing")

    def infer():
        with pytest.raises(EngineError, match="out of memory") as caught:
            worker.call(lambda: loading.engine.infer(*PAIR))
        return type(caught.value)

    loading.start(wanted, lambda caller: Refusing(1.0, "GPU"))
    wait_for(lambda: loading.engine.is_ready)

    assert [infer() for _ in range(3)] == [EngineError] * 3
    built.set()
    wait_for(lambda: loading.progress is None)
    assert [infer() for _ in range(2)] == [EngineError, EngineLostError]


def attempts(loading, second, progress=None):
    """Start on a degraded engine; return it and the calls, once the second has returned."""
    degraded, calls = Known(1.0, "CPU", degraded="no memory"), []

    def wanted(caller):
        calls.append(caller.gpu_only)
        if progress is not None and not caller.gpu_only:
            caller.report(progress)
        return second() if caller.gpu_only else degraded

    loading.start(wanted)
    wait_for(lambda: not loading._thread.is_alive())
    return degraded, calls


def test_gpu_that_comes_late_is_taken(loading):
    gpu = Known(2.0, "GPU")

    degraded, calls = attempts(loading, lambda: gpu)

    assert calls == [False, True]
    assert (loading.engine.spec, degraded.closed) == (gpu.spec, True)


def test_gpu_that_stays_away_is_tried_once_and_the_cpu_goes_on(loading, caplog):
    def refuse():
        raise EngineError("still no memory")

    degraded, calls = attempts(loading, refuse)

    assert calls == [False, True]
    assert (loading.engine.spec, degraded.closed) == (degraded.spec, False)
    assert "the GPU is still not used: still no memory" in caplog.messages
    assert loading.error is None


LOST = EngineLostError("illegal address")


def lose(*arguments):
    raise LOST


def test_gpu_that_is_lost_at_once_is_told_and_not_raised(loading):
    loading.start(lose)

    wait_for(lambda: not loading._thread.is_alive())
    assert (loading.lost, loading.error, loading.engine.is_ready) == (LOST, None, False)


def test_gpu_that_is_lost_after_a_build_is_told(loading):
    def wanted(caller):
        caller.report(BuildProgress(None, 0.0, "building"))
        raise LOST

    loading.start(wanted, lambda caller: Known(1.0, "CPU"))

    wait_for(lambda: not loading._thread.is_alive())
    assert (loading.lost, loading.error, loading.progress) == (LOST, None, None)


def test_gpu_that_is_lost_by_the_fallback_ends_the_build(loading):
    def wanted(caller):
        caller.report(BuildProgress(None, 0.0, "building"))
        pytest.fail("it went on")

    loading.start(wanted, lose)

    wait_for(lambda: not loading._thread.is_alive())
    assert loading.lost is LOST


def test_gpu_that_is_lost_by_the_second_attempt_is_told(loading):
    attempts(loading, lose)

    assert loading.lost is LOST


def test_second_engine_on_the_cpu_is_closed(loading):
    another = Known(3.0, "CPU", degraded="no memory")

    degraded, _ = attempts(loading, lambda: another)

    assert (loading.engine.spec, degraded.closed, another.closed) == (degraded.spec, False, True)


def test_failed_build_is_not_repeated(loading):
    building = BuildProgress(None, 0.0, "building", has_begun=True)

    _, calls = attempts(loading, lambda: Known(2.0, "GPU"), building)

    assert calls == [False]


def test_gpu_is_tried_again_after_waiting_for_the_build_of_another(loading):
    gpu, waiting = Known(2.0, "GPU"), BuildProgress(None, 0.0, "waiting for another build")

    _, calls = attempts(loading, lambda: gpu, waiting)

    assert (calls, loading.engine.spec) == ([False, True], gpu.spec)


def test_engine_that_was_chosen_is_not_opened_again(loading):
    calls = []

    def wanted(caller):
        calls.append(caller.gpu_only)
        return Known(1.0, "CPU")

    loading.start(wanted)
    wait_for(lambda: not loading._thread.is_alive())

    assert calls == [False]


def test_closing_ends_the_wait_for_the_second_attempt(worker, monkeypatch):
    monkeypatch.setattr(loader, "RETRY_S", 3600.0)
    loading = loader.EngineLoader(worker.call)
    loading.start(lambda caller: Known(1.0, "CPU", degraded="no memory"))

    loading.close()

    assert not loading._thread.is_alive()
    assert not loading.engine.is_ready
