"""Real files, locks and child processes; ONNX Runtime stands in for the GPU."""

import json
import multiprocessing
import threading
from dataclasses import replace

import numpy as np
import onnx
import pytest
import stand_ins
from stand_ins import DEVICE, builds_of, engines_in, make_host, runtime_of, save, target

from stereo_depth_ros.artifact import locate_reference
from stereo_depth_ros.engines import EngineError, EngineLostError
from stereo_depth_ros.engines.tensorrt import (
    BuildCancelled,
    BuildOptions,
    EngineDamaged,
    engine_file,
    obtain_engine,
    open_obtained,
)
from stereo_depth_ros.engines.tensorrt.cache import STATIC
from stereo_depth_ros.engines.tensorrt.engine_file import why_useless
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.parts import machine
from stereo_depth_ros.engines.tensorrt.self_test import make_reference
from stereo_depth_ros.graph_contract import AnySize

AUTO = BuildOptions()


@pytest.fixture
def host(tmp_path):
    return make_host(tmp_path / "cache")


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx")


@pytest.fixture
def mixed(tmp_path, graph):
    return save(tmp_path / "net.mixed.onnx")


def test_engine_is_built_proven_and_kept(host, graph):
    file = obtain_engine(graph, AUTO, host=host)

    assert file.path.read_bytes() == graph.read_bytes()
    assert file.proven
    assert file.self_test.mae == 0
    assert file.self_test.reference == "net.onnx (fp32) on the CPU"
    assert file.sidecar["build"]["why"] == "no engine yet"
    assert file.notes == ()
    assert builds_of(graph) == ["fp32"]
    kinds = sorted(path.suffix for path in host.cache.directory.iterdir() if path.suffix)
    assert kinds == [".engine", ".json", ".npz"]


SIZES = AnySize((48, 64), (1, 32), 16)


def test_graph_for_any_size_is_built_for_the_one_that_is_asked_for(host, tmp_path):
    for name in ("net.onnx", "net.mixed.onnx"):
        save(tmp_path / name, sizes=SIZES)
    graph = tmp_path / "net.onnx"

    files = [obtain_engine(graph, AUTO, size=size, host=host) for size in ((30, 40), (30, 20))]
    files.append(obtain_engine(graph, AUTO, size=(30, 40), host=host))

    assert [file.size for file in files] == [(30, 40), (30, 32), (30, 40)]
    assert [file.precision for file in files] == ["mixed"] * 3
    assert all(file.proven for file in files)
    assert files[0].path == files[2].path != files[1].path
    host.cache.clear()
    assert not (host.cache.directory / STATIC).exists()


def test_graph_for_any_size_is_built_for_its_own_unasked_and_proven_by_its_reference(
    host, tmp_path
):
    graph = save(tmp_path / "net.onnx", sizes=SIZES)
    reference = replace(make_reference(read_graph(graph)), source="PyTorch")
    reference.save(locate_reference(graph))

    file = obtain_engine(graph, AUTO, host=host)

    assert file.size == SIZES.size
    assert file.self_test.reference == "PyTorch"


def test_graph_for_any_size_that_has_changed_is_made_static_anew(host, tmp_path):
    graph = save(tmp_path / "net.onnx", sizes=SIZES)
    first = obtain_engine(graph, AUTO, host=host)
    save(graph, sizes=SIZES, factor=0.5)

    assert obtain_engine(graph, AUTO, host=host).path != first.path


def test_second_start_neither_builds_nor_tests(host, graph):
    first = obtain_engine(graph, AUTO, host=host)
    opened = []

    second = obtain_engine(graph, AUTO, host=replace(host, open_file=opened.append))

    assert second == first
    assert builds_of(graph) == ["fp32"]
    assert opened == []


def test_what_is_done_is_told(host, graph):
    seen = []

    obtain_engine(graph, AUTO, host=host, report=lambda progress: seen.append(progress.step))

    assert seen[0] == "no engine yet: building in fp32"
    assert "copying" in seen
    assert seen[-1] == "self-test"


@pytest.mark.parametrize(
    "change",
    [
        {"runtime": runtime_of(10, 7, 0)},
        {"device": replace(DEVICE, name="Thor")},
    ],
    ids=["another TensorRT", "another GPU"],
)
def test_engine_of_another_machine_is_named_and_built_anew(host, graph, change):
    first = obtain_engine(graph, AUTO, host=host)

    second = obtain_engine(graph, AUTO, host=replace(host, **change))

    assert second.path != first.path
    assert second.sidecar["build"]["why"].startswith(f"{first.path.name} is stale: it is ")
    assert len(builds_of(graph)) == 2


def test_changed_graph_is_built_anew(host, graph):
    obtain_engine(graph, AUTO, host=host)
    save(graph, factor=0.125)

    second = obtain_engine(graph, AUTO, host=host)

    assert "the graph has changed since" in second.sidecar["build"]["why"]
    assert second.self_test.mae == 0


@pytest.mark.parametrize("harm", ["plan", "sidecar"])
def test_damaged_engine_is_named_and_built_anew_once(host, graph, harm):
    path = obtain_engine(graph, AUTO, host=host).path
    broken = path if harm == "plan" else path.with_suffix(".json")
    broken.write_bytes(broken.read_bytes()[:-1])

    second = obtain_engine(graph, AUTO, host=host)

    assert second.proven
    assert broken.name in second.sidecar["build"]["why"]
    assert len(builds_of(graph)) == 2
    assert obtain_engine(graph, AUTO, host=host) == second
    assert len(builds_of(graph)) == 2


def test_engine_that_was_built_but_not_tested_is_tested_and_not_built_again(host, graph):
    path = obtain_engine(graph, AUTO, host=host).path
    sidecar = path.with_suffix(".json")
    sidecar.write_text(json.dumps({**json.loads(sidecar.read_text()), "self_test": None}))

    assert obtain_engine(graph, AUTO, host=host).proven
    assert len(builds_of(graph)) == 1


def test_mixed_is_taken_where_it_passes(host, graph, mixed):
    file = obtain_engine(graph, AUTO, host=host)

    assert file.precision == "mixed"
    assert file.metadata["precision"] == "mixed"
    assert file.self_test.reference == "net.onnx (fp32) on the CPU"
    assert builds_of(graph) == []


def test_mixed_graph_that_was_half_copied_is_passed_over(host, graph, mixed, caplog):
    mixed.write_bytes(mixed.read_bytes()[:300])

    assert obtain_engine(graph, AUTO, host=host).precision == "fp32"
    assert "net.mixed.onnx: is no ONNX graph, or is cut short" in caplog.text


def test_mixed_that_fails_gives_way_to_fp32_and_the_reason_stays(host, graph, tmp_path):
    mixed = save(tmp_path / "net.mixed.onnx", factor=0.5)

    file = obtain_engine(mixed, AUTO, host=host)

    assert file.precision == "fp32"
    assert file.proven
    assert len(file.notes) == 1
    assert "mixed: fails its self-test: mean difference" in file.notes[0]
    refused = [e for _, e in host.cache.engines() if e.precision == "mixed"]
    assert refused[0].self_test.mae > 0.5
    assert not refused[0].path.exists()


def test_engine_that_failed_is_not_built_again(host, graph, tmp_path):
    mixed = save(tmp_path / "net.mixed.onnx", factor=0.5)

    first = obtain_engine(graph, AUTO, host=host)
    second = obtain_engine(graph, AUTO, host=host)

    assert second == first
    assert builds_of(mixed) == ["mixed"]


def test_engine_that_answers_nan_is_refused(host, graph, tmp_path):
    save(tmp_path / "net.mixed.onnx", factor=np.nan)

    file = obtain_engine(graph, AUTO, host=host)

    assert file.precision == "fp32"
    assert "0.000 % of the outputs are finite" in file.notes[0]


def test_insisting_on_mixed_is_not_answered_with_fp32(host, graph, tmp_path):
    save(tmp_path / "net.mixed.onnx", factor=0.5)

    with pytest.raises(EngineError, match="no TensorRT engine can be used: mixed: fails"):
        obtain_engine(graph, BuildOptions("mixed"), host=host)

    assert builds_of(graph) == []


def test_insisting_on_fp32_leaves_mixed_alone(host, graph, mixed):
    assert obtain_engine(mixed, BuildOptions("fp32"), host=host).precision == "fp32"
    assert builds_of(mixed) == []


def test_mixed_without_a_mixed_graph_says_which_file_is_wanted(host, graph):
    with pytest.raises(EngineError, match=r"NAME\.mixed\.onnx.*export it with --precision mixed"):
        obtain_engine(graph, BuildOptions("mixed"), host=host)


def test_tensorrt_8_takes_fp32_unless_asked(tmp_path, graph, mixed):
    host = make_host(tmp_path / "cache", runtime=runtime_of(8, 6, 2))

    assert obtain_engine(mixed, AUTO, host=host).precision == "fp32"
    assert obtain_engine(graph, BuildOptions("mixed"), host=host).precision == "mixed"


def test_reference_beside_the_graph_is_used(host, graph, tmp_path):
    read = read_graph(graph)
    stored = replace(make_reference(read), source="the exporter")
    stored.save(tmp_path / "net.reference.npz")

    file = obtain_engine(graph, AUTO, host=host)

    assert file.self_test.reference == "the exporter"
    assert not host.cache.reference(read).exists()


def test_mixed_graph_alone_is_tested_against_itself_on_the_cpu(host, tmp_path):
    file = obtain_engine(save(tmp_path / "net.mixed.onnx"), AUTO, host=host)

    assert file.self_test.reference == "net.mixed.onnx (mixed) on the CPU"


def test_failure_of_a_build_is_told_in_its_words_and_leaves_nothing(tmp_path, graph):
    host = make_host(tmp_path / "cache", work=stand_ins.refuse)

    with pytest.raises(EngineError, match="fp32: node Foo 'bar': no such thing"):
        obtain_engine(graph, AUTO, host=host)

    assert engines_in(host.cache.directory) == []


def test_crash_of_a_build_of_mixed_gives_way_to_fp32(tmp_path, graph, mixed):
    host = make_host(tmp_path / "cache", work=stand_ins.crash_on_mixed)

    file = obtain_engine(graph, AUTO, host=host)

    assert file.precision == "fp32"
    assert "crashed (SIGSEGV)" in file.notes[0]


def test_cancelled_build_leaves_nothing(tmp_path, graph, mixed):
    host = make_host(tmp_path / "cache", work=stand_ins.wait_until_cancelled)
    cancelled = threading.Event()

    def report(progress):
        if list(host.cache.directory.glob("*.part")):
            cancelled.set()

    with pytest.raises(BuildCancelled):
        obtain_engine(graph, AUTO, host=host, report=report, cancelled=cancelled)

    assert engines_in(host.cache.directory) == []


def refuse_to_open(file):
    raise EngineDamaged(f"{file.path} cannot be read back")


def test_plan_that_is_built_but_not_opened_is_an_error_and_not_built_at_every_start(host, graph):
    refusing = replace(host, open_file=refuse_to_open)

    for _ in range(2):
        with pytest.raises(EngineError, match=r"fp32: .*engine cannot be read back$"):
            obtain_engine(graph, AUTO, host=refusing)

    assert builds_of(graph) == ["fp32"]
    (name,) = engines_in(host.cache.directory)
    assert name.endswith(".json")
    ((_, file),) = host.cache.engines()
    assert "cannot be read back" in why_useless(file, {})


def lose_on_mixed(file):
    if file.precision == "mixed":
        raise EngineLostError("an illegal memory access (700)")
    return stand_ins.open_with_onnxruntime(file)


def test_plan_that_loses_the_gpu_twice_gives_way_to_the_next(host, graph, mixed):
    losing = replace(host, open_file=lose_on_mixed)

    for _ in range(2):
        with pytest.raises(EngineLostError, match="illegal memory access"):
            obtain_engine(graph, AUTO, host=losing)
        assert builds_of(graph) == []

    file = obtain_engine(graph, AUTO, host=losing)
    assert (file.precision, file.proven) == ("fp32", True)
    assert file.notes == ("mixed: lost the GPU in 2 self-tests: an illegal memory access (700)",)
    assert builds_of(mixed) == ["mixed"]


def test_plan_that_loses_the_gpu_once_is_tried_again(host, graph, mixed):
    with pytest.raises(EngineLostError):
        obtain_engine(graph, AUTO, host=replace(host, open_file=lose_on_mixed))

    assert obtain_engine(graph, AUTO, host=host).precision == "mixed"
    assert builds_of(mixed) == ["mixed"]


def test_another_driver_may_take_what_one_refused(host, graph, monkeypatch):
    with pytest.raises(EngineError, match="cannot be read back"):
        obtain_engine(graph, AUTO, host=replace(host, open_file=refuse_to_open))
    monkeypatch.setattr(engine_file, "driver_version", lambda: "999.1")

    assert obtain_engine(graph, AUTO, host=host).proven
    assert builds_of(graph) == ["fp32", "fp32"]


def test_rounding_that_fails_the_self_test_is_forbidden_next(tmp_path, graph):
    host = make_host(tmp_path / "cache", work=stand_ins.round_with_tf32)

    file = obtain_engine(graph, AUTO, host=host)

    assert file.sidecar["key"]["options"]["tf32"] is False
    assert "fp32: fails its self-test: mean difference" in file.notes[0]
    assert builds_of(graph) == ["fp32", "fp32-without-tf32"]
    assert obtain_engine(graph, AUTO, host=host) == file
    assert builds_of(graph) == ["fp32", "fp32-without-tf32"]


def test_gpu_that_does_not_round_is_not_built_for_twice(tmp_path, graph):
    device = replace(DEVICE, name="Xavier", compute_capability="7.2")
    host = make_host(tmp_path / "cache", work=stand_ins.round_with_tf32, device=device)

    with pytest.raises(EngineError, match="fp32: fails its self-test"):
        obtain_engine(graph, AUTO, host=host)

    assert builds_of(graph) == ["fp32"]


def test_nothing_is_built_that_could_not_be_proven(tmp_path):
    graph = save(tmp_path / "net.onnx", factor=np.nan)
    host = make_host(tmp_path / "cache", work=stand_ins.build_without_reference)

    with pytest.raises(EngineError, match="float32 outputs are not finite"):
        obtain_engine(graph, AUTO, host=host)

    assert engines_in(host.cache.directory) == []


class Counted:
    """Opens with ONNX Runtime and counts."""

    def __init__(self):
        self.opened, self.closed = 0, 0

    def __call__(self, file):
        self.opened += 1
        engine = stand_ins.open_with_onnxruntime(file)
        close = engine.close

        def count_and_close():
            self.closed += 1
            close()

        engine.close = count_and_close
        return engine


def test_engine_that_passed_just_now_is_not_opened_again(host, graph):
    count = Counted()

    engine, _ = open_obtained(graph, AUTO, host=replace(host, open_file=count))

    assert (count.opened, count.closed) == (1, 0)
    assert engine.infer(*np.zeros((2, 48, 64, 3), np.uint8))[0].shape == (48, 64)


def test_engine_that_is_obtained_only_does_not_stay_open(host, graph, tmp_path):
    save(tmp_path / "net.mixed.onnx", factor=0.5)
    count = Counted()

    obtain_engine(graph, AUTO, host=replace(host, open_file=count))

    assert (count.opened, count.closed) == (2, 2)


def test_opened_engine_answers(host, graph):
    engine, file = open_obtained(graph, AUTO, host=host)

    left = np.full((48, 64, 3), 80, np.uint8)
    assert engine.infer(left, left)[0].max() == 20
    assert file.proven


def test_kept_engine_that_cannot_be_read_back_any_more_is_rebuilt_once(host, graph):
    kept = obtain_engine(graph, AUTO, host=host)
    # Whole by its hash, but of no use to the runtime.
    kept.path.write_bytes(b"of another driver")
    import hashlib

    sidecar = kept.path.with_suffix(".json")
    content = json.loads(sidecar.read_text())
    content["plan"] = {
        "sha256": hashlib.sha256(b"of another driver").hexdigest(),
        "bytes": len(b"of another driver"),
    }
    sidecar.write_text(json.dumps(content))
    seen = []

    engine, file = open_obtained(
        graph, AUTO, host=host, report=lambda progress: seen.append(progress.step)
    )

    assert engine.spec.name == "encoded"
    assert file.proven
    assert builds_of(graph) == ["fp32", "fp32"]
    assert "cannot be read back; building anew" in seen[0]


def test_kept_engine_that_is_refused_is_named_where_nothing_can_be_written(host, graph):
    kept = obtain_engine(graph, AUTO, host=host)
    # Cannot be opened for writing, whoever tries.
    lock = host.cache.directory / f"lock-{machine()}"
    lock.unlink()
    lock.mkdir()

    with pytest.raises(EngineError) as caught:
        open_obtained(graph, AUTO, host=replace(host, open_file=refuse_to_open))

    assert str(caught.value).startswith(
        f"{kept.path} cannot be read back; it cannot be built anew: {host.cache.directory} cannot "
        "be written to ("
    )
    assert "set XDG_CACHE_HOME" in str(caught.value)


def test_failure_to_open_for_another_reason_keeps_the_engine(host, graph):
    kept = obtain_engine(graph, AUTO, host=host)

    def open_file(file):
        raise EngineError("no memory is left on the GPU")

    with pytest.raises(EngineError, match="no memory"):
        open_obtained(graph, AUTO, host=replace(host, open_file=open_file))

    assert kept.path.exists()


def obtain(folder, graph, results):
    host = replace(make_host(folder), target=target(stand_ins.copy_slowly))
    seen = []
    file = obtain_engine(graph, AUTO, host=host, report=lambda p: seen.append(p.step))
    results.put((str(file.path), file.proven, "waiting for another build" in seen))


def test_two_processes_that_want_one_engine_build_it_once(tmp_path, graph):
    context = multiprocessing.get_context("spawn")
    results = context.Queue()
    arguments = (tmp_path / "cache", graph, results)
    processes = [context.Process(target=obtain, args=arguments) for _ in range(2)]
    for process in processes:
        process.start()
    found = [results.get(timeout=90) for _ in processes]
    for process in processes:
        process.join()

    assert builds_of(graph) == ["fp32"]
    assert {path for path, _, _ in found} == {found[0][0]}
    assert all(proven for _, proven, _ in found)
    assert sorted(waited for _, _, waited in found) == [False, True]


def test_graph_that_is_refused_is_not_built(host, graph):
    model = onnx.load(str(graph))
    model.graph.node.append(onnx.helper.make_node("NonZero", ["left"], ["unread"]))
    onnx.save(model, str(graph))

    with pytest.raises(EngineError, match="operator NonZero"):
        obtain_engine(graph, AUTO, host=host)

    assert builds_of(graph) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fp16",), "'fp16' is not known; known are auto, fp32, mixed"),
        (("auto", -1), "workspace is -1 MB"),
        (("auto", 0, 6), "level is 6"),
    ],
    ids=["precision", "workspace", "level"],
)
def test_option_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(EngineError, match=message):
        BuildOptions(*arguments)
