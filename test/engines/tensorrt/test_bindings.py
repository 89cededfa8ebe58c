"""What this package uses of TensorRT exists in every version that it claims to work with."""

import ast
import inspect
import os
import re
from pathlib import Path

import pytest
import tensorrt_stand_in
from bindings import missing_tools, rtx_surface, surface

from stereo_depth_ros.engines import tensorrt

SOURCES = Path(tensorrt.__file__).parent

# Used without a look whether it is there; "" is the module.
ALWAYS = {
    "": "Builder BuilderFlag DataType ILogger MemoryPoolType NetworkDefinitionCreationFlag "
    "OnnxParser Runtime TensorIOMode init_libnvinfer_plugins",
    "Builder": "__init__ build_serialized_network create_builder_config create_network",
    "DataType": "FLOAT HALF UINT8",
    "IBuilderConfig": "create_timing_cache set_flag set_memory_pool_limit set_timing_cache",
    "ICudaEngine": "create_execution_context get_tensor_dtype get_tensor_mode get_tensor_name "
    "get_tensor_shape num_io_tensors",
    "IExecutionContext": "execute_async_v3 set_tensor_address",
    "ILayer": "get_output",
    "ILogger": "__init__ log",
    "INetworkDefinition": "get_layer num_layers",
    "ITensor": "dtype",
    "ITimingCache": "serialize",
    "MemoryPoolType": "WORKSPACE",
    "OnnxParser": "__init__ get_error num_errors parse_from_file",
    "ParserError": "desc node",
    "Runtime": "__init__ deserialize_cuda_engine",
    "TensorIOMode": "INPUT OUTPUT",
}
# Looked for first, or used only with the versions that have it: [since, until).
SOMETIMES = {
    ".ComputeCapability": ((99,), (99,)),
    ".ExecutionContextAllocationStrategy": ((10,), (99,)),
    ".IProgressMonitor": ((10,), (99,)),
    ".IRuntimeCache": ((99,), (99,)),
    "BuilderFlag.FP16": ((8, 5), (11,)),
    "BuilderFlag.OBEY_PRECISION_CONSTRAINTS": ((8, 5), (11,)),
    "BuilderFlag.REQUIRE_USER_ALLOCATION": ((99,), (99,)),
    "BuilderFlag.TF32": ((8, 5), (99,)),
    "ExecutionContextAllocationStrategy.USER_MANAGED": ((10,), (99,)),
    "IBuilderConfig.builder_optimization_level": ((8, 6), (99,)),
    "IBuilderConfig.max_aux_streams": ((8, 6), (99,)),
    "IBuilderConfig.num_compute_capabilities": ((99,), (99,)),
    "IBuilderConfig.progress_monitor": ((10,), (99,)),
    "IBuilderConfig.clear_flag": ((8, 5), (99,)),
    "IBuilderConfig.set_compute_capability": ((99,), (99,)),
    "ICudaEngine.create_runtime_config": ((10, 13), (99,)),
    "ICudaEngine.device_memory_size_v2": ((10, 3), (99,)),
    "IExecutionContext.is_stream_capturable": ((99,), (99,)),
    "IExecutionContext.set_device_memory": ((10, 3), (99,)),
    "ILayer.precision": ((8, 5), (11,)),
    "IProgressMonitor.phase_finish": ((10,), (99,)),
    "IProgressMonitor.phase_start": ((10,), (99,)),
    "IProgressMonitor.step_complete": ((10,), (99,)),
    "IRuntimeCache.deserialize": ((99,), (99,)),
    "IRuntimeCache.reset": ((99,), (99,)),
    "IRuntimeCache.serialize": ((99,), (99,)),
    "IRuntimeConfig.create_runtime_cache": ((99,), (99,)),
    "IRuntimeConfig.set_execution_context_allocation_strategy": ((10, 13), (99,)),
    "IRuntimeConfig.set_runtime_cache": ((99,), (99,)),
    "NetworkDefinitionCreationFlag.EXPLICIT_BATCH": ((8, 5), (11,)),
    "NetworkDefinitionCreationFlag.STRONGLY_TYPED": ((10,), (99,)),
    "ParserError.node_name": ((10,), (99,)),
    "ParserError.node_operator": ((10,), (99,)),
}
# With RTX alone; the rest of it is as in the newest TensorRT.
RTX = {name for name, (since, _) in SOMETIMES.items() if since == (99,)}

# Calls with their arguments as this package writes them: by position, or by name with "=".
CALLS = {
    "Builder.__init__": "logger",
    "Builder.build_serialized_network": "network config",
    "Builder.create_builder_config": "",
    "Builder.create_network": "flags",
    "IBuilderConfig.create_timing_cache": "serialized_timing_cache",
    "IBuilderConfig.set_memory_pool_limit": "pool pool_size",
    "IBuilderConfig.set_timing_cache": "cache ignore_mismatch=",
    "ILayer.get_output": "index",
    "INetworkDefinition.get_layer": "index",
    "OnnxParser.__init__": "network logger",
    "OnnxParser.get_error": "index",
    "OnnxParser.parse_from_file": "model",
    "Runtime.__init__": "logger",
    "Runtime.deserialize_cuda_engine": "serialized_engine",
}


def packages():
    folder = os.environ.get("TENSORRT_BINDINGS")
    found = sorted(Path(folder).glob("*/tensorrt*/tensorrt.so")) if folder else []
    reason = ""
    if not found:
        reason = "set TENSORRT_BINDINGS to a folder filled by test/engines/tensorrt/bindings.py"
    elif missing := missing_tools():
        reason = f"needs {', '.join(missing)}"
    if reason:
        return [pytest.param(None, marks=pytest.mark.skip(reason=reason))]
    return [pytest.param(file.parent, id=file.parts[-3]) for file in found]


def version(package):
    return tuple(int(part) for part in package.parent.name.split("."))


def has(found, name):
    kind, _, member = name.rpartition(".")
    return member in found.get(kind, {})


def always():
    return [f"{kind}.{member}" for kind, members in ALWAYS.items() for member in members.split()]


def overloads(documentation):
    """Required and all parameters of every way to call what is documented."""
    for text in re.findall(r"\((self: .*)\) ->", documentation):
        parameters = re.split(r", (?=\w+: )", text)[1:]
        names = [parameter.partition(":")[0] for parameter in parameters]
        defaults = [" = " in parameter for parameter in parameters]
        yield [n for n, default in zip(names, defaults, strict=True) if not default], names


def accepts(documentation, arguments):
    given = arguments.split()
    named = [argument.rstrip("=") for argument in given if argument.endswith("=")]
    return any(
        len(required) <= len(given) <= len(names) and set(named) <= set(names)
        for required, names in overloads(documentation)
    )


@pytest.mark.parametrize("package", packages())
def test_what_is_used_always_is_always_there(package):
    found = surface(package)

    assert [name for name in always() if not has(found, name)] == []


@pytest.mark.parametrize("package", packages())
def test_what_is_used_sometimes_is_there_when_the_table_says(package):
    found, number = surface(package), version(package)

    expected = {name: since <= number < until for name, (since, until) in SOMETIMES.items()}
    assert {name: has(found, name) for name in SOMETIMES} == expected


@pytest.mark.parametrize("package", packages())
def test_arguments_suit_every_version(package):
    found = surface(package)

    refused = [
        f"{name}({arguments}): {found[name.split('.')[0]][name.split('.')[1]][:200]}"
        for name, arguments in CALLS.items()
        if not accepts(found[name.split(".")[0]][name.split(".")[1]], arguments)
    ]
    assert refused == []


def stand_in_methods():
    for name, kind in vars(tensorrt_stand_in).items():
        if (
            inspect.isclass(kind)
            and name.startswith("I")
            and kind.__module__ == "tensorrt_stand_in"
        ):
            for member, value in vars(kind).items():
                if not member.startswith("_"):
                    yield f"{name}.{member}", value


def assert_stand_in_is_like(found, optional):
    """What runs on the stand-in then runs on the real one as far as names and arguments go."""
    names = dict(stand_in_methods())
    assert {"ICudaEngine.num_io_tensors", "IExecutionContext.execute_async_v3"} <= set(names)
    for name, value in names.items():
        if name in optional and not has(found, name):
            continue
        assert has(found, name), name
        if inspect.isfunction(value):
            kind, member = name.split(".")
            parameters = list(inspect.signature(value).parameters.values())[1:]
            # What has a default is for those versions that know of it.
            needed = [p.name for p in parameters if p.default is p.empty or not optional]
            arguments = " ".join(needed)
            assert accepts(found[kind][member], arguments), name
    for enum in ("DataType", "TensorIOMode"):
        assert set(getattr(tensorrt_stand_in, enum).__members__) <= set(found[enum])


@pytest.mark.parametrize("package", packages())
def test_stand_in_has_nothing_that_the_bindings_lack(package):
    assert_stand_in_is_like(surface(package), SOMETIMES)


def test_rtx_has_everything_that_is_used_and_the_stand_in_nothing_else(rtx):
    found = rtx_surface()
    # What only the safe default of TensorRT 8 goes without.
    newest = {name for name, (_, until) in SOMETIMES.items() if until == (99,)}

    assert [name for name in [*always(), *newest, *RTX] if not has(found, name)] == []
    assert all(accepts(found[n.split(".")[0]][n.split(".")[1]], a) for n, a in CALLS.items())
    assert_stand_in_is_like(found, set())


def test_tables_hold_everything_that_the_sources_use(rtx):
    """A member of the bindings that the sources touch is in one of the tables."""
    listed = {name.rpartition(".")[2] for name in (*always(), *SOMETIMES)}
    members = {member for names in rtx_surface().values() for member in names}
    # Names of the bindings that mean something of Python or of this package here.
    ordinary = {"append", "clear", "errors", "logger", "name", "parse", "path", "shape", "size"}
    touched = set()
    for file in ("versions", "builder", "execution", "kernels", "error_log"):
        for node in ast.walk(ast.parse((SOURCES / f"{file}.py").read_text())):
            if isinstance(node, ast.Attribute):
                touched.add(node.attr)

    assert {"execute_async_v3", "parse_from_file", "set_flag"} <= touched & members
    assert touched & members - listed - ordinary == set()
