import enum
import gc
import threading

import pytest
from stand_ins import runtime_of

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.error_log import ErrorLog
from stereo_depth_ros.engines.tensorrt.versions import find_runtime


@pytest.mark.parametrize(
    ("version", "keeps_types", "reports", "flags"),
    [
        ((8, 5, 3), False, False, 1 << 0),
        ((8, 6, 2), False, False, 1 << 0),
        ((10, 3, 0), True, True, 1 << 1),
        ((10, 16, 1), True, True, 1 << 1),
        ((11, 4, 0), True, True, 1 << 0),
    ],
    ids=lambda value: ".".join(map(str, value)) if isinstance(value, tuple) else "",
)
def test_networks_keep_the_types_of_the_graph_wherever_that_can_be_had(
    version, keeps_types, reports, flags
):
    runtime = runtime_of(*version)

    assert runtime.keeps_types is keeps_types
    assert runtime.reports_progress is reports
    assert runtime.network_flags() == flags


class Config:
    """A configuration of TensorRT 8.5, which has no levels and no auxiliary streams."""

    def __init__(self):
        self.pools = {}

    def set_memory_pool_limit(self, pool, size):
        self.pools[pool] = size


def test_workspace_is_capped_in_every_version():
    config = Config()

    runtime_of(8, 5, 3).configure(config, workspace_bytes=123, level=None)

    assert config.pools == {"workspace": 123}
    assert not hasattr(config, "builder_optimization_level")


def test_level_is_refused_where_there_is_none():
    with pytest.raises(EngineError, match=r"TensorRT 8\.5\.3 has no optimisation levels"):
        runtime_of(8, 5, 3).configure(Config(), workspace_bytes=1, level=2)


def test_absent_runtime_is_an_error_with_cause_and_cure():
    with pytest.raises(EngineError, match=r"No module named 'no_tensorrt'.*python3-libnvinfer"):
        find_runtime("no_tensorrt")


def test_folder_of_the_name_is_not_taken_for_the_package(tmp_path, monkeypatch):
    (tmp_path / "tensorrt_of_mine").mkdir()
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(EngineError, match=r"tensorrt_of_mine.*is not the package"):
        find_runtime("tensorrt_of_mine")


def test_package_that_does_not_load_its_library_is_an_error_with_its_words(tmp_path, monkeypatch):
    (tmp_path / "tensorrt_broken.py").write_text("import ctypes\nctypes.CDLL('libabsent.so.8')")
    monkeypatch.syspath_prepend(tmp_path)

    with pytest.raises(EngineError, match=r"libabsent\.so\.8"):
        find_runtime("tensorrt_broken")


def test_real_runtime_keeps_types_and_reports(rtx):
    assert rtx.keeps_types
    assert rtx.reports_progress
    assert rtx.builds_without_gpu
    assert str(rtx).startswith("TensorRT-RTX 1.")


def test_flags_of_the_real_runtime_make_its_networks_strongly_typed(rtx):
    logger = rtx.logger()
    builder = rtx.module.Builder(logger)

    network = builder.create_network(rtx.network_flags())

    assert network.get_flag(rtx.module.NetworkDefinitionCreationFlag.STRONGLY_TYPED)


def test_there_is_one_logger_and_it_outlives_those_who_read_it(rtx):
    first, second = ErrorLog(), ErrorLog()
    logger = rtx.logger()
    assert rtx.logger() is logger is find_runtime("tensorrt_rtx").logger()

    logger.log(rtx.module.ILogger.WARNING, "hm")
    logger.log(rtx.module.ILogger.ERROR, "oh\n no")
    assert (str(first), str(second)) == ("oh no", "oh no")
    first.clear()
    del second
    gc.collect()
    logger.log(rtx.module.ILogger.INTERNAL_ERROR, 1000 * "x")

    assert str(first) == 300 * "x"


def test_plugins_of_tensorrt_8_get_the_logger_that_outlives_them():
    runtime, seen = runtime_of(8, 6, 2), []
    runtime.module.ILogger = type("ILogger", (), {"__init__": lambda self: None})
    runtime.module.init_libnvinfer_plugins = lambda logger, name: seen.append((logger, name))

    runtime.load_plugins()
    runtime.load_plugins()

    assert seen == [(runtime.logger(), "")] * 2


def test_options_reach_the_real_configuration(rtx):
    logger = rtx.logger()
    builder = rtx.module.Builder(logger)
    config = builder.create_builder_config()

    rtx.configure(config, workspace_bytes=1 << 28, level=2, compute_capability="8.9")

    assert config.get_memory_pool_limit(rtx.module.MemoryPoolType.WORKSPACE) == 1 << 28
    assert config.builder_optimization_level == 2
    assert config.max_aux_streams == 0
    assert config.get_compute_capability(0) == rtx.module.ComputeCapability.SM89
    assert config.get_flag(rtx.module.BuilderFlag.TF32)
    assert config.get_flag(rtx.module.BuilderFlag.REQUIRE_USER_ALLOCATION)


def test_rounding_to_tf32_can_be_forbidden(rtx):
    config = rtx.module.Builder(rtx.logger()).create_builder_config()

    rtx.configure(config, workspace_bytes=1 << 28, level=None, tf32=False, compute_capability="8.9")

    assert not config.get_flag(rtx.module.BuilderFlag.TF32)


def test_gpu_here_that_is_not_built_for_is_named_before_the_build(rtx):
    real = rtx.module.Builder(rtx.logger()).create_builder_config()

    class Config:
        """Refuses a capability as RTX does on an H100: by returning False."""

        def __setattr__(self, name, value):
            setattr(real, name, value)

        def __getattr__(self, name):
            return getattr(real, name)

        def set_compute_capability(self, capability, index):
            return False

    with pytest.raises(EngineError, match=r"does not build for the GPU here; it knows SM75"):
        rtx.configure(Config(), workspace_bytes=1 << 28, level=None)


def test_gpu_that_the_real_runtime_does_not_build_for_is_named(rtx):
    logger = rtx.logger()
    config = rtx.module.Builder(logger).create_builder_config()

    with pytest.raises(EngineError, match=r"does not build for compute capability 5\.0.*SM86"):
        rtx.configure(config, workspace_bytes=1 << 28, level=None, compute_capability="5.0")


class Type(enum.Enum):
    FLOAT, HALF, INT32 = range(3)


class Layer:
    def __init__(self, dtype):
        self.output = None if dtype is None else type("Tensor", (), {"dtype": dtype})
        self.precision = None

    def get_output(self, index):
        return self.output


def test_version_that_chooses_precisions_is_told_those_of_the_graph():
    layers = [Layer(dtype) for dtype in (Type.FLOAT, Type.HALF, Type.INT32, None)]
    runtime = runtime_of(8, 6, 2)
    runtime.module.DataType = Type
    network = type(
        "Network", (), {"num_layers": len(layers), "get_layer": lambda self, i: layers[i]}
    )()
    flags = []
    config = type("Config", (), {"set_flag": lambda self, flag: flags.append(flag)})()

    runtime.ask_for_types(network, config)

    assert [layer.precision for layer in layers] == [Type.FLOAT, Type.HALF, None, None]
    assert flags == [0, 1]  # FP16, OBEY_PRECISION_CONSTRAINTS


def test_monitor_of_the_real_runtime_passes_on_and_asks(rtx):
    calls, go_on = [], threading.Event()
    monitor = rtx.monitor(
        lambda *begin: calls.append(begin),
        lambda *step: go_on.is_set(),
        lambda *end: calls.append(end),
    )

    monitor.phase_start("build", None, 3)
    assert monitor.step_complete("build", 0) is False
    go_on.set()
    assert monitor.step_complete("build", 1) is True
    monitor.phase_finish("build")

    assert calls == [("build", None, 3), ("build",)]
