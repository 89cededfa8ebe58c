import json
import multiprocessing
import os
import threading
import time
from dataclasses import replace

import pytest
from stand_ins import DEVICE, runtime_of, save

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt import cache as cache_module
from stereo_depth_ros.engines.tensorrt import key, parts
from stereo_depth_ros.engines.tensorrt.build_process import BuildCancelled
from stereo_depth_ros.engines.tensorrt.cache import EngineCache, cache_directory
from stereo_depth_ros.engines.tensorrt.device import power_mode
from stereo_depth_ros.engines.tensorrt.engine_file import (
    EngineDamaged,
    copy_engine,
    read_engine,
    why_useless,
)
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.key import differences, engine_key, machine_key
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.parts import machine
from stereo_depth_ros.engines.tensorrt.verdict import SelfTest

RUNTIME = runtime_of(10, 3, 0)
PASSED = SelfTest(100.0, 1.0, 0.01, 0.0, 0.01, 0.1, 0.0, 0.3, 0.001, 0.002, 100.0, "net.onnx")
FAILED = SelfTest(100.0, 0.5, 9.0, 40.0, 1.9, 0.1, 30.0, 0.3, 0.3, 0.002, 60.0, "net.onnx")


@pytest.fixture
def graph(tmp_path):
    return read_graph(save(tmp_path / "net.onnx"))


@pytest.fixture
def cache(tmp_path):
    (tmp_path / "cache").mkdir()
    return EngineCache(tmp_path / "cache")


def key_of(graph, *, precision="fp32", options=None, runtime=RUNTIME, device=DEVICE):
    return engine_key(graph, precision, options or BuildOptions(), runtime, device)


def add(cache, graph, content=b"a plan", **changes):
    key = key_of(graph, **changes)
    part = cache.part(cache.path(key, graph))
    part.write_bytes(content)
    return cache.add(part, key, graph, {"seconds": 3.0, "layers": 5, "why": "no engine yet"})


def test_engine_is_found_again_with_all_that_is_known_of_it(cache, graph):
    added = add(cache, graph)

    found = EngineCache(cache.directory).find(key_of(graph), graph)

    assert found == added
    assert found.path.read_bytes() == b"a plan"
    assert (found.runtime, found.precision, found.size) == ("tensorrt", "fp32", (48, 64))
    assert found.metadata["network"] == "encoded"
    assert found.proven is None
    assert found.sidecar["build"]["layers"] == 5


def test_name_tells_what_it_is(cache, graph):
    assert add(cache, graph).path.name.startswith("encoded_plain_48x64_fp32_")


def test_nothing_is_found_where_nothing_was_kept(cache, graph):
    assert cache.find(key_of(graph), graph) is None


@pytest.mark.parametrize(
    "change",
    [
        {"precision": "mixed"},
        {"options": BuildOptions(workspace_mb=512)},
        {"options": BuildOptions(level=2)},
        {"options": BuildOptions(tf32=False)},
        {"runtime": runtime_of(10, 3, 1)},
        {"runtime": replace(RUNTIME, name="tensorrt_rtx")},
        {"device": replace(DEVICE, name="Thor")},
        {"device": replace(DEVICE, compute_capability="11.0")},
        {"device": replace(DEVICE, multiprocessors=8)},
        {"device": replace(DEVICE, memory_mb=30000)},
    ],
    ids=str,
)
def test_engine_is_not_found_under_another_key(cache, graph, change):
    add(cache, graph)

    assert cache.find(key_of(graph, **change), graph) is None


def test_changed_graph_has_another_engine(cache, graph, tmp_path):
    add(cache, graph)
    changed = read_graph(save(tmp_path / "net.onnx", factor=0.5))

    assert cache.find(key_of(changed), changed) is None


def test_memory_that_the_driver_keeps_for_itself_does_not_matter(cache, graph):
    add(cache, graph)

    assert cache.find(key_of(graph, device=replace(DEVICE, memory_mb=62100)), graph) is not None


def test_result_of_the_self_test_is_kept(cache, graph):
    cache.record(add(cache, graph), PASSED)

    found = cache.find(key_of(graph), graph)

    assert found.proven is True
    assert found.self_test == PASSED


def test_engine_that_failed_is_deleted_and_its_numbers_are_kept(cache, graph):
    file = cache.record(add(cache, graph), FAILED)

    found = cache.find(key_of(graph), graph)

    assert found.proven is False
    assert found.self_test == FAILED
    assert not file.path.exists()


def rewrite(sidecar, **parts):
    sidecar.write_text(json.dumps(json.loads(sidecar.read_text()) | parts))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda plan, sidecar: plan.write_bytes(b"a plot"), "altered"),
        (lambda plan, sidecar: plan.write_bytes(b"a pl"), "has 4 bytes, not 6"),
        (lambda plan, sidecar: plan.unlink(), "cannot be read"),
        (lambda plan, sidecar: sidecar.write_text(sidecar.read_text()[:40]), "is no sidecar"),
        (lambda plan, sidecar: sidecar.write_text("{}"), "is no sidecar"),
        (lambda plan, sidecar: sidecar.write_text("[]"), "is no sidecar"),
        (lambda plan, sidecar: rewrite(sidecar, graph=None), "is no sidecar"),
        (lambda plan, sidecar: sidecar.write_bytes(b"\xff\xfe"), "is no sidecar"),
    ],
    ids=["altered", "short", "absent", "cut", "empty", "list", "graphless", "binary"],
)
def test_damage_is_named(cache, graph, harm, message):
    path = cache.record(add(cache, graph), PASSED).path
    harm(path, path.with_suffix(".json"))

    with pytest.raises(EngineDamaged, match=message):
        cache.find(key_of(graph), graph)


def test_test_by_the_gates_of_another_release_counts_as_none(cache, graph):
    path = cache.record(add(cache, graph), PASSED).path
    rewrite(path.with_suffix(".json"), self_test={"finite": 100.0, "cosine": 1.0, "passed": True})

    found = cache.find(key_of(graph), graph)

    assert found.proven is None
    assert found.path.exists()


def test_plan_without_a_sidecar_was_never_finished_and_is_not_found(cache, graph):
    add(cache, graph).path.with_suffix(".json").unlink()

    assert cache.find(key_of(graph), graph) is None


def test_reason_to_build_is_named(cache, graph, tmp_path):
    assert cache.why_missing(key_of(graph), graph) == "no engine yet"

    old = add(cache, graph, runtime=runtime_of(8, 6, 2), device=replace(DEVICE, name="Xavier"))

    assert cache.why_missing(key_of(graph), graph) == (
        f"{old.path.name} is stale: it is of TensorRT 8.6.2, not TensorRT 10.3.0; "
        "it is for Xavier, not Orin"
    )


def test_changed_graph_is_the_reason_to_build(cache, graph, tmp_path):
    add(cache, graph)
    changed = read_graph(save(tmp_path / "net.onnx", factor=0.5))

    assert "the graph has changed since" in cache.why_missing(key_of(changed), changed)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"options": BuildOptions(level=5)}, "other options"),
        ({"device": replace(DEVICE, multiprocessors=8)}, "for another Orin"),
        ({"precision": "mixed"}, "in mixed, not fp32"),
    ],
    ids=["options", "device", "precision"],
)
def test_differences_are_told_in_words(graph, change, words):
    (found,) = differences(key_of(graph, **change), key_of(graph))

    assert words in found


def test_engines_are_listed_with_what_ails_them(cache, graph):
    good = cache.record(add(cache, graph), PASSED)
    bad = add(cache, graph, options=BuildOptions(level=1))
    bad.path.write_bytes(b"a plot")
    orphan = cache.directory / "orphan.engine"
    orphan.write_bytes(b"a plan")

    found = dict(cache.engines())

    assert found[good.path] == good
    assert isinstance(found[bad.path], EngineDamaged)
    assert isinstance(found[orphan], EngineDamaged)
    assert len(found) == 3


def test_what_is_of_no_use_is_told_from_what_is(cache, graph, tmp_path):
    here = machine_key(RUNTIME, DEVICE)
    there = machine_key(runtime_of(10, 7, 0), DEVICE)
    good = cache.record(add(cache, graph), PASSED)
    failed = cache.record(add(cache, graph, options=BuildOptions(level=1)), FAILED)

    assert why_useless(good, here) == ""
    assert why_useless(good, there) == "it is of TensorRT 10.3.0, not TensorRT 10.7.0"
    assert why_useless(good, {}) == ""
    assert why_useless(failed, here).startswith("fails its self-test: cosine 0.5")
    assert why_useless(EngineDamaged("gone"), here) == "damaged: gone"
    save(tmp_path / "net.onnx", factor=0.5)
    assert "net.onnx has changed since" in why_useless(good, here)


def test_copy_is_a_whole_engine(cache, graph, tmp_path):
    file = cache.record(add(cache, graph), PASSED)

    copy_engine(file, tmp_path / "out" / "mine.engine")

    copied = read_engine(tmp_path / "out" / "mine.engine")
    assert copied.sidecar == file.sidecar
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["mine.engine", "mine.json"]


def test_discarded_engine_goes_unless_a_new_one_took_its_place(cache, graph):
    old = cache.record(add(cache, graph), PASSED)
    new = cache.record(add(cache, graph), FAILED)

    cache.discard(old, threading.Event())
    assert cache.find(key_of(graph), graph).self_test == FAILED

    cache.discard(new, threading.Event())
    assert cache.find(key_of(graph), graph) is None


def test_clearing_leaves_nothing(cache, graph):
    cache.record(add(cache, graph), PASSED)
    cache.timings(RUNTIME, DEVICE).write_bytes(b"timings")
    cache.reference(graph).write_bytes(b"reference")
    cache.part(cache.directory / "x.engine").write_bytes(b"half")
    (cache.directory / "x.580.65.kernels").write_bytes(b"kernels")

    cache.clear()

    assert list(cache.directory.iterdir()) == []


def test_override_of_tf32_is_part_of_the_key(cache, graph, monkeypatch):
    add(cache, graph)
    monkeypatch.setenv("NVIDIA_TF32_OVERRIDE", "0")

    assert cache.find(key_of(graph), graph) is None


def test_key_of_tensorrt_8_on_a_desktop_holds_the_cudnn_that_it_uses(monkeypatch):
    monkeypatch.setattr(key, "cudnn_version", lambda: 8906)
    before = machine_key(runtime_of(8, 6, 1), DEVICE)
    monkeypatch.setattr(key, "cudnn_version", lambda: 8907)
    after = machine_key(runtime_of(8, 6, 1), DEVICE)

    assert differences(before, after) == ["it is for cuDNN 8906, not 8907"]
    assert "cudnn" not in machine_key(RUNTIME, DEVICE)
    monkeypatch.setattr(key, "board", lambda: "aarch64 R35.4.1")
    assert "cudnn" not in machine_key(runtime_of(8, 5, 2), DEVICE)


def test_timings_are_not_shared_between_speeds_of_a_board(cache, tmp_path, monkeypatch):
    root = tmp_path / "root"
    speeds = {"var/lib/nvpmodel/status": "pmode:0002 fmode:x\n"}
    speeds["sys/class/devfreq/17000000.gpu/min_freq"] = "306000000\n"
    speeds["sys/class/devfreq/17000000.gpu/max_freq"] = "1300500000\n"
    for name, text in speeds.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    assert power_mode(root) == "pmode:0002_306000000_1300500000"
    assert power_mode(tmp_path) == ""
    plain = cache.timings(RUNTIME, DEVICE).name

    names = set()
    for minimum in ("306000000", "1300500000"):
        (root / "sys/class/devfreq/17000000.gpu/min_freq").write_text(minimum)
        monkeypatch.setattr(cache_module, "power_mode", lambda: power_mode(root))
        names.add(cache.timings(RUNTIME, DEVICE).name)

    assert plain not in names
    assert len(names) == 2


def test_kernels_go_with_their_engine(cache, graph):
    path = add(cache, graph).path
    kernels = path.with_suffix(".580.65.kernels")
    kernels.write_bytes(b"kernels")
    other = cache.directory / "other.580.65.kernels"
    other.write_bytes(b"kernels")

    cache.remove(path)

    assert not kernels.exists()
    assert other.exists()


def test_timings_are_not_shared_between_versions_and_gpus(cache):
    names = {
        cache.timings(runtime, device)
        for runtime in (RUNTIME, runtime_of(10, 7, 0))
        for device in (DEVICE, replace(DEVICE, name="NVIDIA GeForce RTX 3060 / Ti"))
    }

    assert len(names) == 4
    assert all(path.parent == cache.directory for path in names)


def test_directory_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))

    assert cache_directory() == tmp_path / "elsewhere" / "stereo_depth_ros" / "engines"
    assert cache_directory().is_dir()


def test_place_where_nothing_can_be_kept_is_an_error_with_a_cure(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))

    with pytest.raises(EngineError, match="set XDG_CACHE_HOME"):
        cache_directory()


def test_folder_that_can_only_be_read_serves_what_it_holds(cache, graph):
    cache.record(add(cache, graph), PASSED)
    # The file that would be locked cannot be opened for writing, whoever tries.
    (cache.directory / f"lock-{machine()}").mkdir()

    assert cache.find(key_of(graph), graph).proven
    with (
        pytest.raises(EngineError, match=r"cannot be written to .*set XDG_CACHE_HOME"),
        cache.lock(threading.Event()),
    ):
        pytest.fail("locked")


def test_other_machines_that_share_the_folder_neither_wait_nor_lose_what_they_write(
    cache, monkeypatch
):
    theirs = cache.part(cache.directory / "x.engine")
    theirs.write_bytes(b"half")
    with cache.lock(threading.Event()):
        theirs.write_bytes(b"half")
        monkeypatch.setattr(parts, "machine", lambda: "another")
        monkeypatch.setattr(cache_module, "machine", lambda: "another")

        with cache.lock(threading.Event(), lambda: pytest.fail("waits")):
            assert theirs.exists()


def hold(directory, seconds, log, ready):
    cache = EngineCache(directory)
    with cache.lock(threading.Event()):
        ready.set()
        with log.open("a") as file:
            file.write(f"{os.getpid()} in\n")
        time.sleep(seconds)
        with log.open("a") as file:
            file.write(f"{os.getpid()} out\n")


@pytest.fixture
def spawn():
    """Start functions in processes of their own; none is left behind."""
    context = multiprocessing.get_context("spawn")
    started = []

    def start(function, *arguments):
        process = context.Process(target=function, args=arguments)
        process.start()
        started.append(process)
        return process

    start.event = context.Event
    yield start
    for process in started:
        process.kill()
        process.join()


def test_lock_lets_one_process_in_at_a_time(cache, tmp_path, spawn):
    log, ready = tmp_path / "log", spawn.event()
    processes = [spawn(hold, cache.directory, 0.5, log, ready) for _ in range(2)]
    for process in processes:
        process.join(60)

    lines = [line.split() for line in log.read_text().splitlines()]
    assert [what for _, what in lines] == ["in", "out", "in", "out"]
    assert lines[0][0] == lines[1][0] != lines[2][0]


def test_waiting_for_the_lock_is_told_and_can_be_cancelled(cache, tmp_path, spawn):
    ready, cancelled, waits = spawn.event(), threading.Event(), []
    spawn(hold, cache.directory, 60, tmp_path / "log", ready)
    assert ready.wait(60)

    def waiting():
        waits.append(True)
        if len(waits) == 3:
            cancelled.set()

    with pytest.raises(BuildCancelled), cache.lock(cancelled, waiting):
        pytest.fail("two hold the lock")

    assert len(waits) == 3


def test_lock_goes_with_the_process_that_held_it(cache, tmp_path, spawn):
    ready = spawn.event()
    holder = spawn(hold, cache.directory, 60, tmp_path / "log", ready)
    assert ready.wait(60)

    holder.kill()
    holder.join()

    with cache.lock(threading.Event(), lambda: pytest.fail("waits for the dead")):
        pass


def test_what_was_left_unfinished_goes_with_the_next_lock(cache):
    leftover = cache.part(cache.directory / "x.engine")
    leftover.write_bytes(b"half")

    with cache.lock(threading.Event()):
        assert not leftover.exists()


def test_sidecar_is_readable_by_people(cache, graph):
    text = add(cache, graph).path.with_suffix(".json").read_text()

    assert json.loads(text)["graph"]["metadata"]["licence"] == "Apache-2.0"
    assert text.count("\n") > 20
