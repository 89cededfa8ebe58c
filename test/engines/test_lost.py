"""What ends an engine for good, and what only costs a pair."""

from enum import IntEnum
from types import SimpleNamespace

import numpy as np
import pytest
from fakes import FixedEngine, save_graph

from stereo_depth_ros.engines import EngineError, EngineLostError, swap
from stereo_depth_ros.engines.onnxruntime import OnnxRuntimeEngine
from stereo_depth_ros.engines.swap import MAX_FAILING_S, MAX_FAILURES, SwappableEngine
from stereo_depth_ros.engines.tensorrt.cuda.cuda_python_api import CudaPython
from stereo_depth_ros.engines.tensorrt.cuda.pycuda_api import PyCuda

PAIR = (np.zeros((12, 16, 3), np.uint8),) * 2
STICKY, PASSING = (214, 700, 710, 714, 719, 999), (1, 2, 304, 900)


class Status(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorECCUncorrectable = 214
    cudaErrorOperatingSystem = 304
    cudaErrorIllegalAddress = 700
    cudaErrorAssert = 710
    cudaErrorHardwareStackError = 714
    cudaErrorLaunchFailure = 719
    cudaErrorStreamCaptureUnsupported = 900
    cudaErrorUnknown = 999


def cuda_python(code):
    cuda = object.__new__(CudaPython)
    cuda.name = "cuda-python 13"
    cuda._api = SimpleNamespace(
        cudaError_t=Status,
        cudaGetErrorString=lambda status: (Status.cudaSuccess, b"as told"),
        cudaStreamSynchronize=lambda stream: (Status(code),),
    )
    return cuda


def pycuda(code):
    """pycuda tells an error by its text alone; the driver knows the code."""
    error = type("LogicError", (Exception,), {})

    def synchronize():
        raise error("cuStreamSynchronize failed: as told")

    cuda = object.__new__(PyCuda)
    cuda.name = "pycuda 2025"
    cuda._driver = SimpleNamespace(Error=error)
    cuda._streams = {7: SimpleNamespace(synchronize=synchronize)}
    cuda._library = SimpleNamespace(cuCtxSynchronize=lambda: code)
    return cuda


@pytest.mark.parametrize("make", [cuda_python, pycuda])
@pytest.mark.parametrize("code", STICKY)
def test_error_that_every_later_call_returns_too_loses_the_engine(make, code):
    with pytest.raises(EngineLostError, match="as told"):
        make(code).synchronize(7)


@pytest.mark.parametrize("make", [cuda_python, pycuda])
@pytest.mark.parametrize("code", PASSING)
def test_error_of_one_call_does_not(make, code):
    with pytest.raises(EngineError, match="as told") as caught:
        make(code).synchronize(7)

    assert not isinstance(caught.value, EngineLostError)


def test_driver_called_directly_tells_the_same_code():
    cuda = pycuda(0)
    cuda._library = SimpleNamespace(
        cuGraphLaunch=lambda graph, stream: 719, cuGetErrorString=lambda status, text: 0
    )

    with pytest.raises(EngineLostError, match=r"cuGraphLaunch failed: .*\(719\)"):
        cuda.launch(1, 2)


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("CUDA failure 700: an illegal memory access was encountered ; GPU=0", True),
        ("CUDA failure 2: out of memory ; GPU=0", False),
        ("Got invalid dimensions for input: 700", False),
    ],
)
def test_onnxruntime_loses_the_gpu_by_the_same_codes(tmp_path, text, lost):
    engine = OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx"))

    def run(*arguments):
        raise RuntimeError(text)

    engine._session = SimpleNamespace(run=run)

    with pytest.raises(EngineError, match=text[:15]) as caught:
        engine.infer(*PAIR)

    assert isinstance(caught.value, EngineLostError) == lost


def test_onnxruntime_that_loses_the_gpu_while_it_loads_says_so(tmp_path, monkeypatch):
    runtime = pytest.importorskip("onnxruntime")

    def refuse(*arguments, **options):
        raise RuntimeError("CUDA failure 719: unspecified launch failure ; GPU=0")

    monkeypatch.setattr(runtime, "InferenceSession", refuse)

    with pytest.raises(EngineLostError, match="CUDA failure 719"):
        OnnxRuntimeEngine(save_graph(tmp_path / "net.onnx"))


class Failing(FixedEngine):
    """Fails while told to."""

    def __init__(self, device="GPU", error=None):
        super().__init__(1.0)
        self.spec = type(self.spec)(**{**vars(self.spec), "device": device})
        self.error = error or EngineError("refused")
        self.fails = True

    def infer(self, left, right):
        if self.fails:
            raise self.error
        return super().infer(left, right)


@pytest.fixture
def clock(monkeypatch):
    """The time; each pair takes enough of it for `MAX_FAILURES` to last `MAX_FAILING_S`."""
    clock = SimpleNamespace(now=0.0, step=1.001 * MAX_FAILING_S / (MAX_FAILURES - 1))

    def monotonic():
        clock.now += clock.step
        return clock.now

    monkeypatch.setattr(swap, "time", SimpleNamespace(monotonic=monotonic))
    return clock


def fail(engine, times):
    for _ in range(times):
        with pytest.raises(EngineError, match="refused") as caught:
            engine.infer(*PAIR)
        assert not isinstance(caught.value, EngineLostError)


def swapped(inner, **options):
    engine = SwappableEngine(**options)
    engine.swap(inner)
    return engine


def test_gpu_that_fails_pair_after_pair_is_lost(clock):
    engine = swapped(Failing())

    fail(engine, MAX_FAILURES - 1)

    with pytest.raises(EngineLostError, match=f"refused; {MAX_FAILURES} pairs in a row failed"):
        engine.infer(*PAIR)


def test_gpu_that_fails_for_a_moment_is_not_lost_however_many_pairs_there_are(clock):
    clock.step = 1 / 29.99
    engine = swapped(Failing())

    fail(engine, round(30 * MAX_FAILING_S))

    with pytest.raises(EngineLostError, match="301 pairs in a row failed within 10 s"):
        engine.infer(*PAIR)


def test_gpu_that_fails_slowly_is_not_lost_by_few_pairs(clock):
    clock.step = 5.0

    fail(swapped(Failing()), MAX_FAILURES - 1)


def test_failures_beside_a_build_do_not_count(clock):
    building = [True]
    engine = swapped(Failing(), is_building=lambda: building[0])

    fail(engine, 3 * MAX_FAILURES)
    building[0] = False
    fail(engine, MAX_FAILURES - 1)

    with pytest.raises(EngineLostError, match=f"{MAX_FAILURES} pairs in a row"):
        engine.infer(*PAIR)


def test_pair_that_succeeds_between_starts_the_count_anew(clock):
    inner = Failing()
    engine = swapped(inner)

    fail(engine, MAX_FAILURES - 1)
    inner.fails = False
    assert engine.infer(*PAIR)[0].max() == 1
    inner.fails = True

    fail(engine, MAX_FAILURES - 1)


def test_another_engine_starts_the_count_anew(clock):
    engine = swapped(Failing())
    fail(engine, MAX_FAILURES - 1)

    engine.swap(Failing())

    fail(engine, MAX_FAILURES - 1)


def test_the_cpu_is_never_lost_as_a_new_process_would_fail_alike(clock):
    engine = swapped(Failing(device="CPU"))

    fail(engine, 3 * MAX_FAILURES)


def test_lost_engine_is_lost_at_once():
    engine = swapped(Failing(error=EngineLostError("illegal address")))

    with pytest.raises(EngineLostError, match=r"^illegal address$"):
        engine.infer(*PAIR)
