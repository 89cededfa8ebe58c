import ast
import importlib
import inspect
import re
import sys
from operator import attrgetter
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt import cuda
from stereo_depth_ros.engines.tensorrt.cuda import (
    BACKENDS,
    Cuda,
    cuda_python_api,
    open_cuda,
    pycuda_api,
)
from stereo_depth_ros.engines.tensorrt.cuda.cuda_python_api import CudaPython
from stereo_depth_ros.engines.tensorrt.cuda.pycuda_api import PyCuda

FOLDER = Path(cuda.__file__).parent


def cuda_python():
    return pytest.importorskip("cuda.bindings.runtime", reason="needs cuda-python")


def pycuda_driver():
    try:
        return importlib.import_module("pycuda.driver")
    except ImportError as error:
        pytest.skip(f"needs pycuda and a driver: {error}")


@pytest.fixture
def without_gpu():
    if cuda_python().cudaGetDeviceCount()[1]:
        pytest.skip("there is a GPU")


def hide(monkeypatch, *names):
    for name in names:
        monkeypatch.setitem(sys.modules, name, None)


def tree(name):
    return ast.parse((FOLDER / name).read_text())


def test_unknown_back_end_lists_the_known_ones():
    with pytest.raises(EngineError, match=f"'torch' is not known; known are {', '.join(BACKENDS)}"):
        open_cuda("torch")


@pytest.mark.parametrize("backend", BACKENDS)
def test_missing_back_end_is_an_error_that_says_what_to_install(monkeypatch, backend):
    hide(monkeypatch, "pycuda", "pycuda.driver", "cuda.bindings.runtime")

    with pytest.raises(EngineError, match=r"pip install pycuda.*pip install cuda-python") as caught:
        open_cuda(backend)

    asked = BACKENDS[1:] if backend == "auto" else (backend,)
    assert all(f"{name}: " in str(caught.value) for name in asked)


def test_cuda_python_is_taken_where_pycuda_is_missing(monkeypatch, without_gpu):
    hide(monkeypatch, "pycuda", "pycuda.driver")

    with pytest.raises(EngineError, match=r"cuda-python [\d.]+: cudaSetDevice failed: .*; \w+"):
        open_cuda()


def test_cuda_python_is_taken_where_pycuda_does_not_work(monkeypatch):
    tried = []

    def open_one(name):
        tried.append(name)
        if name == "pycuda":
            raise EngineError("pycuda 2024: was refused a GPU: system not yet initialized")
        return "opened"

    monkeypatch.setattr(cuda, "_open", open_one)

    assert open_cuda() == "opened"
    assert tried == ["pycuda", "cuda-python"]
    with pytest.raises(EngineError, match="system not yet initialized"):
        open_cuda("pycuda")


def test_back_end_that_fails_is_the_cause_where_the_other_is_not_installed(monkeypatch):
    def open_one(name):
        if name == "pycuda":
            raise EngineError("pycuda 2024: was refused a GPU")
        raise ImportError("No module named 'cuda'")

    monkeypatch.setattr(cuda, "_open", open_one)

    with pytest.raises(EngineError, match=r"^pycuda 2024: was refused a GPU$"):
        open_cuda()


class Pycuda(ModuleType):
    """What the back end uses of pycuda and of the driver, which note what is asked of them."""

    VERSION_TEXT = "2024.1"

    class Error(Exception):
        pass

    def __init__(self):
        super().__init__("pycuda")
        self.asked, self.refuse_pop = [], False
        self.driver = self
        self.device_attribute = SimpleNamespace(INTEGRATED=18)
        self.Context = SimpleNamespace(pop=self.pop)

    def init(self):
        self.asked.append("init")

    def Device(self, ordinal):
        context = SimpleNamespace(
            push=lambda: self.asked.append("push"), detach=lambda: self.asked.append("detach")
        )

        def retain():
            self.asked.append("retain")
            return context

        return SimpleNamespace(
            name=lambda: "Orin", get_attribute=lambda number: 1, retain_primary_context=retain
        )

    def pop(self):
        self.asked.append("pop")
        if self.refuse_pop:
            raise self.Error("unspecified launch failure")

    def cuDeviceGet(self, handle, ordinal):
        return 0

    def cuDevicePrimaryCtxSetFlags_v2(self, device, flags):
        self.asked.append(f"flags {flags}")
        return 708  # the context is active

    def cuCtxSynchronize(self):
        return 0


@pytest.fixture
def pycuda(monkeypatch):
    module = Pycuda()
    monkeypatch.setitem(sys.modules, "pycuda", module)
    monkeypatch.setitem(sys.modules, "pycuda.driver", module)
    monkeypatch.setattr(pycuda_api.ctypes, "CDLL", lambda name: module)
    return module


def test_pycuda_waits_without_spinning_and_never_resets_the_context(pycuda):
    before = len(pycuda_api._RETAINED)
    back_end = open_cuda("pycuda")
    back_end.close()

    assert pycuda.asked == ["init", "flags 4", "retain"]
    assert len(pycuda_api._RETAINED) == before + 1


def test_failure_of_pycuda_to_leave_the_context_is_an_engine_error(pycuda):
    back_end = open_cuda("pycuda")
    pycuda.refuse_pop = True

    with (
        pytest.raises(EngineError, match="to leave the context: unspecified launch failure"),
        back_end.current(),
    ):
        pass


def test_what_failed_within_the_context_is_told_and_not_what_came_of_it(pycuda):
    back_end = open_cuda("pycuda")
    pycuda.refuse_pop = True

    with pytest.raises(EngineError, match="the cause"), back_end.current():
        raise EngineError("the cause")

    assert pycuda.asked[-2:] == ["push", "pop"]


def test_cuda_python_asks_to_wait_without_spinning_before_there_is_a_context(monkeypatch):
    real, asked = cuda_python(), []

    class Api:
        def __getattr__(self, name):
            return getattr(real, name)

        def cudaSetDeviceFlags(self, flags):
            asked.append(flags)
            return (real.cudaError_t.cudaErrorSetOnActiveProcess,)

        def cudaSetDevice(self, ordinal):
            asked.append("device")
            return (real.cudaError_t.cudaErrorNoDevice,)

    monkeypatch.setattr(cuda_python_api, "_import", Api)

    with pytest.raises(EngineError, match="cudaSetDevice failed"):
        CudaPython()

    assert asked == [4, "device"]


@pytest.mark.parametrize("backend", [CudaPython, PyCuda])
def test_back_end_has_what_the_interface_has(backend):
    methods = {
        name: list(inspect.signature(method).parameters)
        for name, method in vars(Cuda).items()
        if inspect.isfunction(method) and not name.startswith("_")
    }

    assert len(methods) > 12
    for name, parameters in methods.items():
        assert list(inspect.signature(getattr(backend, name)).parameters) == parameters, name


def test_cuda_python_has_every_function_that_is_called_with_as_many_arguments():
    api = cuda_python()
    calls = {
        node.args[0].value: len(node.args) - 1
        for node in ast.walk(tree("cuda_python_api.py"))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "_do"
    }

    assert len(calls) > 12
    for name, count in calls.items():
        signature = inspect.getdoc(getattr(api, name)).splitlines()[0]
        parameters = signature.partition("(")[2].rpartition(")")[0].split(", ")
        required = [p for p in parameters if p and "=" not in p]
        assert len(required) <= count <= len(parameters), signature


@pytest.mark.parametrize(
    ("file", "root", "import_module", "one"),
    [
        ("cuda_python_api.py", "self._api.", cuda_python, "cudaHostAllocMapped"),
        ("pycuda_api.py", "self._driver.", pycuda_driver, "pagelocked_empty"),
    ],
)
def test_library_has_every_name_that_is_used(file, root, import_module, one):
    library = import_module()
    chains = {ast.unparse(n) for n in ast.walk(tree(file)) if isinstance(n, ast.Attribute)}
    used = {c.removeprefix(root) for c in chains if re.fullmatch(re.escape(root) + r"[\w.]+", c)}

    assert one in used
    for chain in used:
        attrgetter(chain)(library)


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_copies_come_back_from_a_real_gpu(backend):
    try:
        api = open_cuda(backend)
    except EngineError as error:
        pytest.skip(f"no GPU: {error}")
    with api.current():
        stream = api.create_stream()
        sent, received = api.allocate_host(1000, False), api.allocate_host(1000, False)
        address = api.allocate(1000)
        sent.array[:] = np.arange(1000) % 251
        received.array[:] = 0
        api.upload(sent, address, stream)
        api.download(address, received, stream)
        api.synchronize(stream)
        assert (received.array == sent.array).all()
        received.array[:] = 0
        api.begin_capture(stream)
        api.upload(sent, address, stream)
        api.download(address, received, stream)
        graph = api.end_capture(stream)
        assert not received.array.any()
        api.launch(graph, stream)
        api.synchronize(stream)
        assert (received.array == sent.array).all()
        api.destroy_graph(graph)
        api.begin_capture(stream)
        with pytest.raises(EngineError, match="nothing was captured"):
            api.end_capture(stream)
        api.free(address)
        api.free_host(sent)
        api.free_host(received)
        mapped = api.allocate_host(64, True)
        assert mapped.address
        api.free_host(mapped)
        api.destroy_stream(stream)
    api.close()
