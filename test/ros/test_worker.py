from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from stereo_depth_ros.ros.worker import LatestWorker

SOON_S = 5.0
"""More than any of these steps takes; a test that waits so long has failed."""


class Desk:
    """A handler that tells what it was given and holds every item until `release`."""

    def __init__(self) -> None:
        self.handled: list[object] = []
        self.threads: set[int] = set()
        self.at_once = 0
        self.most_at_once = 0
        self.begun = threading.Semaphore(0)
        self._gate = threading.Semaphore(0)
        self._lock = threading.Lock()

    def __call__(self, item: object) -> None:
        with self._lock:
            self.at_once += 1
            self.most_at_once = max(self.most_at_once, self.at_once)
            self.threads.add(threading.get_ident())
        self.handled.append(item)
        self.begun.release()
        self._gate.acquire(timeout=SOON_S)
        with self._lock:
            self.at_once -= 1

    def release(self, count: int = 1) -> None:
        for _ in range(count):
            self._gate.release()

    def wait_for_begin(self) -> None:
        assert self.begun.acquire(timeout=SOON_S), "no item was begun"


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def worker(desk: Desk) -> Iterator[LatestWorker]:
    worker: LatestWorker = LatestWorker(desk, "test worker")
    yield worker
    desk.release(100)
    assert worker.close(SOON_S)


def test_an_item_is_handled(worker, desk):
    assert worker.submit("only") is False
    desk.wait_for_begin()
    assert desk.handled == ["only"]


def test_the_newest_item_wins_while_one_is_handled(worker, desk):
    worker.submit("first")
    desk.wait_for_begin()
    for item in ("second", "third", "fourth"):
        worker.submit(item)
    desk.release(2)
    desk.wait_for_begin()
    assert worker.call(lambda: list(desk.handled)) == ["first", "fourth"]


def test_submit_tells_whether_a_waiting_item_was_replaced(worker, desk):
    worker.submit("begun")
    desk.wait_for_begin()
    assert worker.submit("waits") is False
    assert worker.submit("replaces") is True
    assert worker.submit("replaces too") is True


def test_an_item_that_was_begun_is_not_replaced(worker, desk):
    worker.submit("begun")
    desk.wait_for_begin()
    assert worker.submit("next") is False
    desk.release()
    desk.wait_for_begin()
    assert desk.handled == ["begun", "next"]


def test_items_that_come_one_at_a_time_are_all_handled(worker, desk):
    desk.release(50)
    for number in range(50):
        assert worker.submit(number) is False
        desk.wait_for_begin()
    assert desk.handled == list(range(50))


def test_items_are_handled_one_at_a_time_in_one_thread(desk, worker):
    desk.release(10_000)
    sources = [
        threading.Thread(target=lambda s=s: [worker.submit((s, n)) for n in range(200)])
        for s in range(4)
    ]
    for source in sources:
        source.start()
    for source in sources:
        source.join(SOON_S)
    thread = worker.call(threading.get_ident)
    assert desk.most_at_once == 1
    assert desk.threads == {thread}
    for source in range(4):
        numbers = [n for s, n in desk.handled if s == source]
        assert numbers == sorted(numbers)


def test_a_falsy_item_is_an_item(worker, desk):
    worker.submit(0)
    desk.wait_for_begin()
    assert desk.handled == [0]
    worker.submit(0)
    assert worker.submit(0) is True


def test_discard_forgets_the_waiting_item(worker, desk):
    worker.submit("begun")
    desk.wait_for_begin()
    worker.submit("forgotten")
    worker.discard()
    assert worker.submit("kept") is False
    desk.release()
    desk.wait_for_begin()
    assert desk.handled == ["begun", "kept"]


def test_discard_without_a_waiting_item_does_nothing(worker, desk):
    worker.discard()
    worker.submit("item")
    desk.wait_for_begin()
    assert desk.handled == ["item"]


def test_a_call_runs_in_the_thread_of_the_items_and_returns_its_result(worker, desk):
    worker.submit("item")
    desk.wait_for_begin()
    desk.release()
    assert {worker.call(threading.get_ident)} == desk.threads
    assert worker.call(lambda: threading.current_thread().name) == "test worker"
    assert worker.call(threading.get_ident) != threading.get_ident()


def test_a_call_raises_what_its_job_raises(worker):
    def fail():
        raise FileNotFoundError("no model.onnx")

    with pytest.raises(FileNotFoundError, match=r"no model\.onnx"):
        worker.call(fail)


def test_work_goes_on_after_a_call_that_raised(worker, desk):
    with pytest.raises(ZeroDivisionError):
        worker.call(lambda: 1 / 0)
    worker.submit("item")
    desk.wait_for_begin()
    desk.release()
    assert worker.call(lambda: "result") == "result"


def test_a_call_waits_for_the_running_item_and_comes_before_the_waiting_one(worker, desk):
    worker.submit("running")
    desk.wait_for_begin()
    worker.submit("waiting")
    called: list[object] = []
    caller = threading.Thread(
        target=lambda: called.append(worker.call(lambda: (desk.at_once, list(desk.handled))))
    )
    caller.start()
    caller.join(0.05)
    assert called == []
    desk.release()
    caller.join(SOON_S)
    assert called == [(0, ["running"])]
    desk.wait_for_begin()
    assert desk.handled == ["running", "waiting"]


def test_calls_run_in_the_order_they_were_made(worker, desk):
    worker.submit("running")
    desk.wait_for_begin()
    order: list[int] = []
    callers = []
    for number in range(5):
        caller = threading.Thread(target=worker.call, args=(lambda n=number: order.append(n),))
        caller.start()
        callers.append(caller)
        time.sleep(0.01)
    desk.release()
    for caller in callers:
        caller.join(SOON_S)
    assert order == [0, 1, 2, 3, 4]


def test_an_idle_worker_closes_at_once(desk):
    worker = LatestWorker(desk, "closing")
    began = time.monotonic()
    assert worker.close(timeout=SOON_S) is True
    assert time.monotonic() - began < 0.5
    assert "closing" not in {thread.name for thread in threading.enumerate()}


def test_closing_a_busy_worker_gives_up_in_time(desk):
    worker = LatestWorker(desk, "busy")
    worker.submit("endless")
    desk.wait_for_begin()
    began = time.monotonic()
    assert worker.close(timeout=0.1) is False
    assert 0.09 < time.monotonic() - began < 0.6
    desk.release()
    assert worker.close(timeout=SOON_S) is True


def test_closing_waits_for_the_running_item_and_drops_the_waiting_one(desk):
    worker = LatestWorker(desk, "ending")
    worker.submit("running")
    desk.wait_for_begin()
    worker.submit("dropped")
    threading.Timer(0.05, desk.release).start()
    assert worker.close(timeout=SOON_S) is True
    assert desk.handled == ["running"]


def test_closing_still_runs_the_calls_that_were_made(desk):
    worker = LatestWorker(desk, "ending")
    worker.submit("running")
    desk.wait_for_begin()
    called: list[str] = []
    caller = threading.Thread(target=worker.call, args=(lambda: called.append("released"),))
    caller.start()
    caller.join(0.05)
    threading.Timer(0.05, desk.release).start()
    assert worker.close(timeout=SOON_S) is True
    caller.join(SOON_S)
    assert called == ["released"]


def test_the_thread_does_not_keep_the_process_alive(worker):
    assert worker.call(lambda: threading.current_thread().daemon) is True


def test_the_last_thing_is_done_in_the_thread_after_what_runs(desk):
    worker: LatestWorker = LatestWorker(desk, "test worker")
    worker.submit("running")
    desk.wait_for_begin()
    done: list[object] = []
    desk.release()

    assert worker.close(SOON_S, last=lambda: done.append(threading.get_ident()))

    assert desk.handled == ["running"]
    assert set(done) == desk.threads
