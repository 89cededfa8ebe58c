"""What a GPU alone can prove; skipped, with the reason, where there is none.

Engines are built once per run, into a cache of their own:  pytest test/gpu -m ""
"""

from __future__ import annotations

import functools
import sys
from pathlib import Path

import pytest

from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt import BuildOptions, obtain_engine
from stereo_depth_ros.engines.tensorrt.cuda import open_cuda
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.engines.tensorrt.versions import find_runtime

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "engines" / "tensorrt")]


@functools.cache
def what_is_missing() -> str:
    try:
        find_device()
        find_runtime()
        open_cuda().close()
    except EngineError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(items):
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)


def pytest_runtest_setup(item):
    if HERE in item.path.parents and what_is_missing():
        pytest.skip(what_is_missing())


@pytest.fixture(scope="session")
def cache_home(tmp_path_factory):
    """Engines go here, in this process and in its children."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setenv("XDG_CACHE_HOME", str(folder))
        yield folder


@pytest.fixture(scope="session")
def graphs(tmp_path_factory):
    """Write the graph of "network/variant", once each: graphs(variant, precision)."""
    pytest.importorskip("torch", reason="needs the extra training")
    from networks_to_build import export

    folder = tmp_path_factory.mktemp("graphs")

    def graph(variant: str, precision: str) -> Path:
        suffix = ".mixed.onnx" if precision == "mixed" else ".onnx"
        path = folder / (variant.replace("/", "_") + suffix)
        return path if path.exists() else export(variant, precision, path)

    return graph


@pytest.fixture(scope="session")
def engines(graphs, cache_home):
    """Build and prove an engine, once each: engines(variant, precision)."""
    return lambda variant, precision: obtain_engine(
        graphs(variant, precision), BuildOptions(precision)
    )
