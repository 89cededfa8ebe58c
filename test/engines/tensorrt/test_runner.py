import errno
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from cuda_stand_in import StandInCuda
from numpy.testing import assert_array_equal
from onnx import numpy_helper
from stand_ins import HEIGHT, METADATA, WIDTH, save
from tensorrt_stand_in import Faults, make_runtime

from stereo_depth_ros.engines import Engine, EngineError, EngineLostError
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.tensorrt.builder import Builder
from stereo_depth_ros.engines.tensorrt.device import driver_version
from stereo_depth_ros.engines.tensorrt.engine_file import EngineDamaged, EngineFile
from stereo_depth_ros.engines.tensorrt.graph import read_graph
from stereo_depth_ros.engines.tensorrt.options import BuildOptions
from stereo_depth_ros.engines.tensorrt.runner import TensorRTEngine
from stereo_depth_ros.ros.worker import LatestWorker

WAYS = pytest.mark.parametrize("cuda_graph", [True, False], ids=["graph", "steps"])
MEMORIES = pytest.mark.parametrize("mapped", [True, False], ids=["mapped", "pinned"])


@pytest.fixture
def file(tmp_path):
    return engine_file(save(tmp_path / "net.onnx"))


def engine_file(path, takes_prior=False, **metadata):
    sidecar = {
        "key": {"runtime": {"module": "tensorrt", "version": "10.3.0"}, "precision": "mixed"},
        "graph": {
            "metadata": {**METADATA, **metadata},
            "height": HEIGHT,
            "width": WIDTH,
            "takes_prior": takes_prior,
        },
        "self_test": None,
    }
    return EngineFile(path, sidecar)


def pair(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, HEIGHT, WIDTH, 3), dtype=np.uint8)


def opened(file, cuda=None, faults=None, name="tensorrt", **how):
    cuda = cuda or StandInCuda()
    return TensorRTEngine(file, cuda=cuda, runtime=make_runtime(cuda, faults, name), **how)


def assert_answers_like_onnxruntime(engine, file, seed=0):
    reference = OnnxRuntimeEngine(file.path)
    for found, expected in zip(
        engine.infer(*pair(seed)), reference.infer(*pair(seed)), strict=True
    ):
        assert found.dtype == np.float32
        assert_array_equal(found, expected)


def test_confidence_that_is_rounded_beyond_1_is_1(tmp_path):
    file = engine_file(save_sure(tmp_path / "net.onnx"))
    left = np.full((HEIGHT, WIDTH, 3), 250, np.uint8)

    for engine in (opened(file), OnnxRuntimeEngine(file.path)):
        confidence = engine.infer(left, left)[1]
        assert (confidence.min(), confidence.max(), confidence.dtype) == (1, 1, np.float32)
        assert engine.infer(left // 2, left)[1].max() == np.float32(125 / 249.9)


def save_sure(path):
    """A graph whose confidence exceeds 1 by rounding at 250."""
    model = onnx.load(str(save(path)))
    (full,) = [t for t in model.graph.initializer if t.name == "full"]
    full.CopyFrom(numpy_helper.from_array(np.float32(249.9), "full"))
    onnx.save(model, str(path))
    return path


@WAYS
@MEMORIES
def test_answers_are_those_of_onnxruntime(file, cuda_graph, mapped):
    engine = opened(file, cuda_graph=cuda_graph, mapped=mapped)

    for seed in range(3):
        assert_answers_like_onnxruntime(engine, file, seed)
    assert isinstance(engine, Engine)
    engine.close()


@WAYS
def test_frame_costs_one_copy_each_way_and_one_wait(file, cuda_graph):
    cuda = StandInCuda()
    engine = opened(file, cuda, cuda_graph=cuda_graph)
    cuda.calls.clear()

    engine.infer(*pair())

    expected = ["launch"] if cuda_graph else ["upload", "download"]
    assert cuda.calls == [*expected, "synchronize"]


def test_mapped_memory_is_not_copied_and_exists_once(file):
    cuda = StandInCuda()
    engine = opened(file, cuda, cuda_graph=False, mapped=True)
    engine.infer(*pair())

    assert not {"allocate", "upload", "download"} & set(cuda.calls)


@pytest.mark.parametrize(("integrated", "word"), [(True, "mapped"), (False, "pinned")])
def test_memory_suits_the_gpu_unless_told_otherwise(file, integrated, word):
    engine = opened(file, StandInCuda(integrated=integrated))

    assert f"{word} memory, CUDA graph" in str(engine.spec.provenance)


PRIOR = ("prior", "prior_confidence")


@WAYS
@MEMORIES
def test_graph_that_takes_a_prior_runs_with_it_and_without(tmp_path, cuda_graph, mapped):
    file = engine_file(save(tmp_path / "net.onnx", prior=PRIOR), takes_prior=True, prior="sgbm")
    cuda = StandInCuda()
    engine = opened(file, cuda, cuda_graph=cuda_graph, mapped=mapped)
    onnx = OnnxRuntimeEngine(file.path)
    prior, confidence = np.random.default_rng(7).random((2, HEIGHT, WIDTH), np.float32)

    assert (engine.takes_prior, engine.prior) == (True, "sgbm")
    assert_answers_like_onnxruntime(engine, file, 0)
    guided = engine.infer_with_prior(*pair(), prior, confidence)
    for found, expected in zip(
        guided, onnx.infer_with_prior(*pair(), prior, confidence), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
    # What was told for one frame is not left over for the next.
    assert_answers_like_onnxruntime(engine, file, 1)
    cuda.calls.clear()
    engine.infer(*pair())
    assert cuda.calls.count("upload") == (not cuda_graph and not mapped)
    with pytest.raises(EngineError, match=r"prior is float64"):
        engine.infer_with_prior(*pair(), prior.astype(float), confidence)
    engine.close()
    assert not cuda.held


def test_graph_without_a_prior_takes_none(file):
    engine = opened(file)

    assert (engine.takes_prior, engine.prior) == (False, "")


def test_sidecar_of_an_older_release_tells_of_no_prior(file):
    del file.sidecar["graph"]["takes_prior"]

    assert not file.takes_prior
    assert_answers_like_onnxruntime(opened(file), file)


def test_plan_with_a_prior_that_its_sidecar_does_not_know_is_damage(tmp_path):
    path = save(tmp_path / "net.onnx", prior=PRIOR)

    with pytest.raises(EngineDamaged, match=r"breaks the graph contract: .*prior_confidence"):
        opened(engine_file(path))


def test_spec_comes_from_the_sidecar(file):
    spec = opened(file).spec

    assert (spec.name, spec.backend, spec.height, spec.width) == (
        "encoded",
        "tensorrt",
        HEIGHT,
        WIDTH,
    )
    assert (spec.max_disparity, spec.precision, spec.device) == (64.0, "mixed", "NumPy")
    assert (spec.licence, spec.commercial) == ("Apache-2.0", True)
    assert str(spec.provenance).startswith(f"{file.path}, TensorRT 10.3.0, stand-in 1.0, ")


def test_weights_that_are_not_for_commercial_use_are_not(tmp_path):
    file = engine_file(save(tmp_path / "net.onnx"), commercial="false")

    assert not opened(file).spec.commercial


def test_mirrored_views_are_matched(file):
    left, right = pair()

    disparity, _ = opened(file).infer(left[:, ::-1], right[:, ::-1])

    assert_array_equal(disparity, left[:, ::-1, 0] / np.float32(4))


def test_answer_outlives_the_next_frame(file):
    engine = opened(file)

    first = engine.infer(*pair(0))
    kept = [part.copy() for part in first]
    engine.infer(*pair(1))
    engine.close()

    for part, expected in zip(first, kept, strict=True):
        assert_array_equal(part, expected)


@pytest.mark.parametrize(
    ("faults", "reason"),
    [
        # The first run is not captured.
        (Faults(refused_runs=(2,)), "told to fail"),
        (Faults(unsound_capture=True), "only [0-9] % of its disparity is that of the engine"),
        (Faults(changing_answers=True), r"\d+ % of its disparity is that of the engine"),
        (Faults(not_capturable=True), "cannot be captured"),
    ],
    ids=["refused", "empty", "different", "not capturable"],
)
def test_graph_that_cannot_be_trusted_is_not_used(file, faults, reason):
    cuda = StandInCuda()
    engine = opened(file, cuda, faults)

    assert re.search(f"no CUDA graph: .*{reason}", str(engine.spec.provenance))
    assert_answers_like_onnxruntime(engine, file)
    assert "graph" not in cuda.held.values()


def test_capture_without_any_work_is_not_used(file):
    engine = opened(file, faults=Faults(unsound_capture=True), mapped=True)

    assert "no CUDA graph: stand-in 1.0: nothing was captured" in str(engine.spec.provenance)
    assert_answers_like_onnxruntime(engine, file)


def test_engine_stays_usable_after_a_frame_that_failed(file):
    faults = Faults()
    engine = opened(file, faults=faults, cuda_graph=False)
    faults.refused_runs = (2,)

    with pytest.raises(EngineError, match="failed: told to fail"):
        engine.infer(*pair())

    assert_answers_like_onnxruntime(engine, file)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image: image[:-1], r"left is uint8 \(47, 64, 3\), not uint8 \(48, 64, 3\)"),
        (lambda image: image.astype(np.float32), "left is float32"),
        (lambda image: image[..., 0], r"left is uint8 \(48, 64\)"),
    ],
)
def test_image_that_does_not_fit_is_named(file, spoil, message):
    engine = opened(file)
    left, right = pair()

    with pytest.raises(EngineError, match=message):
        engine.infer(spoil(left), right)

    assert_answers_like_onnxruntime(engine, file)


def test_all_is_released_in_order(file):
    cuda, faults = StandInCuda(), Faults()
    # What TensorRT releases goes to the same list.
    faults.log = cuda.calls
    engine = opened(file, cuda, faults)
    engine.infer(*pair())
    cuda.calls.clear()

    engine.close()
    engine.close()

    assert cuda.calls == [
        "synchronize",
        "destroy_graph",
        "context",
        "engine",
        "runtime",
        *("free", "free_host") * 2,
        "destroy_stream",
        "close",
    ]
    assert not cuda.held
    with pytest.raises(EngineError, match="closed"):
        engine.infer(*pair())


def count_calls(file, mapped, name):
    cuda = StandInCuda()
    engine = opened(file, cuda, name=name, mapped=mapped)
    engine.infer(*pair())
    engine.close()
    return len(cuda.calls)


@MEMORIES
@pytest.mark.parametrize("name", ["tensorrt", "tensorrt_rtx"])
def test_whatever_call_fails_nothing_is_left_behind(file, mapped, name):
    outcomes = set()
    for refuse in range(1, count_calls(file, mapped, name) + 1):
        cuda = StandInCuda(refuse=refuse)
        try:
            engine = opened(file, cuda, name=name, mapped=mapped)
        except EngineError as error:
            assert "untell it" in str(error)
            outcomes.add("not opened")
        else:
            try:
                assert_answers_like_onnxruntime(engine, file)
                graph = "no CUDA graph" not in str(engine.spec.provenance)
                outcomes.add("with graph" if graph else "without graph")
            except EngineError:
                outcomes.add("frame lost")
                assert_answers_like_onnxruntime(engine, file)
            engine.close()
        assert not cuda.held, f"call {refuse}: {cuda.calls}"
        assert cuda.calls[-1] == "close"
    assert outcomes == {"not opened", "with graph", "without graph", "frame lost"}


class LosingCuda(StandInCuda):
    """Loses the GPU as soon as a CUDA graph runs."""

    def launch(self, graph, stream):
        raise EngineLostError("cudaGraphLaunch failed: an illegal memory access (700)")


def test_gpu_that_is_lost_by_the_cuda_graph_is_not_tried_without_one(file):
    cuda = LosingCuda()

    with pytest.raises(EngineLostError, match="illegal memory access"):
        opened(file, cuda)

    assert not cuda.held


def test_damaged_plan_is_damage_in_the_words_of_tensorrt(tmp_path):
    path = tmp_path / "net.engine"
    path.write_bytes(b"no plan at all")
    cuda = StandInCuda()

    with pytest.raises(EngineDamaged, match=r"net\.engine: TensorRT 10\.3\.0 refuses .*Magic tag"):
        opened(engine_file(path), cuda)

    assert not cuda.held


@pytest.mark.parametrize(
    "words",
    [
        "Error Code 1: Serialization (Serialization assertion stdVersionRead == "
        "serializationVersion failed.Version tag does not match.",
        "6: The engine plan file is not compatible with this version of TensorRT, expecting "
        "library version 8.5.2.2 got 8.5.3.1, please rebuild.",
        "The engine plan file is generated on an incompatible device, expecting compute 7.5 got "
        "compute 8.6, please rebuild.",
        "Error Code 1: Serialization (magicTag) and then: Error Code 1: Cuda Runtime ()",
    ],
)
def test_what_tensorrt_says_of_the_plan_itself_is_damage(file, words):
    with pytest.raises(EngineDamaged, match="refuses this engine"):
        opened(file, faults=Faults(refusal=words))


def test_words_of_tensorrt_are_bounded(file):
    with pytest.raises(EngineError) as caught:
        opened(file, faults=Faults(refusal="Cuda Runtime " + 5000 * "x"))

    assert len(str(caught.value)) < 800


def test_real_tensorrt_without_a_driver_finds_no_damage_in_a_sound_plan(tmp_path, rtx):
    builder = Builder(rtx, read_graph(save(tmp_path / "net.onnx")))
    path = tmp_path / "net.engine"
    path.write_bytes(builder.build(BuildOptions("fp32", 256), compute_capability="8.6"))

    with pytest.raises(EngineError, match=r"cannot load this engine: .*Cuda Runtime") as caught:
        TensorRTEngine(engine_file(path), cuda=StandInCuda(), runtime=rtx)

    assert not isinstance(caught.value, EngineDamaged)


def test_rtx_works_in_memory_of_ours_and_compiles_once(file, tmp_path):
    cuda, faults = StandInCuda(), Faults()
    faults.log = cuda.calls

    first = opened(file, cuda, faults, "tensorrt_rtx")
    assert_answers_like_onnxruntime(first, file)
    assert ", CUDA graph" in str(first.spec.provenance)
    first.close()
    assert cuda.calls.count("compile") == 1
    assert not cuda.held
    released = [c for c in cuda.calls if c in ("context", "free", "engine")]
    assert released[:3] == ["context", "free", "engine"]

    second = opened(file, StandInCuda(), again := Faults(), "tensorrt_rtx")
    assert_answers_like_onnxruntime(second, file)
    second.close()
    assert "compile" not in again.log
    assert [p.name for p in tmp_path.glob("*.kernels")] == [f"net.{driver_version()}.kernels"]


def test_kernels_that_are_spoilt_or_cannot_be_kept_cost_time_alone(file, tmp_path, caplog):
    kernels = tmp_path / f"net.{driver_version()}.kernels"
    kernels.write_bytes(b"cut sh")
    faults = Faults()

    opened(file, faults=faults, name="tensorrt_rtx").close()
    assert faults.log.count("compile") == 1
    assert kernels.read_bytes() == b"kernels"
    assert "are compiled anew" in caplog.text

    kernels.unlink()
    kernels.mkdir()
    assert_answers_like_onnxruntime(opened(file, name="tensorrt_rtx"), file)
    assert [p.name for p in tmp_path.glob("*.part")] == []


def test_plan_on_a_mount_that_is_read_only_opens_without_keeping_kernels(
    file, tmp_path, monkeypatch, caplog
):
    def refuse(path, *arguments, **options):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    with monkeypatch.context() as mount, caplog.at_level("INFO"):
        mount.setattr(Path, "write_bytes", refuse)
        mount.setattr(Path, "unlink", refuse)
        engine = opened(file, name="tensorrt_rtx")

    assert_answers_like_onnxruntime(engine, file)
    assert "kernels are not kept: " in caplog.text


def test_real_tensorrt_tells_why_it_refuses_a_plan(tmp_path, rtx):
    path = tmp_path / "net.engine"
    path.write_bytes(b"no plan at all" * 100)
    cuda = StandInCuda()

    with pytest.raises(EngineDamaged, match=r"TensorRT-RTX .* refuses this engine: ") as caught:
        TensorRTEngine(engine_file(path), cuda=cuda, runtime=rtx)

    assert "does not say why" not in str(caught.value)
    assert not cuda.held


def test_plan_of_another_size_is_damage(tmp_path):
    path = save(tmp_path / "net.onnx", height=HEIGHT // 2)

    with pytest.raises(EngineDamaged, match=r"breaks the graph contract: .*\(1, 24, 64, 3\)"):
        opened(engine_file(path))


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        (Faults(no_context=""), "cannot make room to run: it does not say why; stop what else"),
        (Faults(no_context="out of memory"), "cannot make room to run: .*out of memory; stop what"),
        (
            Faults(no_context="MyelinCheckException: cuDNN graph compilation failed."),
            r"cannot compile it for this GPU: .*compilation failed\.; use the mixed graph",
        ),
        (Faults(no_runtime=True), "cannot start: CUDA initialization failure with error: 35"),
        (Faults(no_memory=True), r"cannot load this engine: .*out of memory\); stop what else"),
        (
            Faults(refusal="Error Code 1: Cuda Runtime (In ScopedCudaStream at x.cpp:25)"),
            r"cannot load this engine: .*x\.cpp:25\); see nvidia-smi and dmesg; .*delete the file",
        ),
        (
            Faults(refusal="CUDA initialization failure with error: 35. incompatible driver"),
            "cannot load this engine: CUDA initialization failure",
        ),
    ],
)
def test_tensorrt_that_does_not_start_is_an_error_and_no_damage(file, faults, message):
    cuda = StandInCuda()

    with pytest.raises(EngineError, match=message) as caught:
        opened(file, cuda, faults)

    assert not isinstance(caught.value, EngineDamaged)
    assert not cuda.held


def test_what_fails_to_open_is_released_before_cuda_is(file):
    cuda = StandInCuda()

    with pytest.raises(EngineError, match="cannot make room"):
        opened(file, cuda, Faults(no_context="", log=cuda.calls))

    released = [call for call in cuda.calls if call in ("engine", "runtime", "close")]
    assert released == ["engine", "runtime", "close"]


def test_missing_plan_is_damage(tmp_path):
    with pytest.raises(EngineDamaged, match=r"net\.engine cannot be read"):
        opened(engine_file(tmp_path / "net.engine"))


def test_engine_lives_in_the_thread_of_a_worker(file):
    answers = []
    worker = LatestWorker(lambda left: answers.append(engine.infer(left, left)), "engine")
    try:
        engine = worker.call(lambda: opened(file))
        with pytest.raises(EngineError, match="belongs to the thread"):
            engine.infer(*pair())
        with pytest.raises(EngineError, match="belongs to the thread"):
            engine.close()
        worker.submit(pair()[0])
        worker.call(lambda: None)
        worker.call(engine.close)
    finally:
        worker.close()


def test_two_engines_share_a_gpu(file):
    cuda = StandInCuda()
    first, second = opened(file, cuda), opened(replace(file), cuda)

    assert_answers_like_onnxruntime(first, file, 0)
    assert_answers_like_onnxruntime(second, file, 1)
    assert_answers_like_onnxruntime(first, file, 2)
