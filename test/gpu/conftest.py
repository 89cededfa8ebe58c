"""What a GPU alone can prove; skipped, with the reason, where there is none.

Engines are built once per run, into a cache of their own. Minutes: pytest test/gpu -m gpu. Every
network, and ten minutes of inference, hours in all: pytest test/gpu -m slow.
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
from stereo_depth_ros.share import share_directory

HERE = Path(__file__).parent
sys.path += [str(HERE.parent / "engines" / "tensorrt")]

TRAINED = {"lite/base": "lite.safetensors"}
"""Weights that are shipped: those that tests fill in are the less sensitive to a wrong layer."""


@functools.cache
def what_is_missing() -> str:
    try:
        find_device()
        find_runtime()
        open_cuda().close()
    except EngineError as error:
        return str(error)
    return ""


def pytest_collection_modifyitems(config, items):
    asked_for_slow = "slow" in config.option.markexpr
    for item in items:
        if HERE not in item.path.parents:
            continue
        item.add_marker(pytest.mark.gpu)
        if item.get_closest_marker("slow") and not asked_for_slow:
            # -m "" would select hours.
            item.add_marker(pytest.mark.skip(reason="hours: pytest test/gpu -m slow"))


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


def write_graph(variant: str, precision: str, path: Path) -> Path:
    """Export "network/variant" as `networks_to_build` does, but trained where that is shipped."""
    from networks_to_build import SIZE, export

    if variant not in TRAINED:
        return export(variant, precision, path)
    from stereo_depth_ros.checkpoints import load_weights
    from stereo_depth_ros.export import export_onnx

    network, _ = load_weights(share_directory() / "models" / TRAINED[variant])
    return export_onnx(network, *SIZE, path, precision=precision)


@pytest.fixture(scope="session")
def graphs(tmp_path_factory):
    """Write the graph of "network/variant", once each: graphs(variant, precision)."""
    pytest.importorskip("torch", reason="needs the extra training")
    folder = tmp_path_factory.mktemp("graphs")

    def graph(variant: str, precision: str) -> Path:
        suffix = ".mixed.onnx" if precision == "mixed" else ".onnx"
        path = folder / (variant.replace("/", "_") + suffix)
        return path if path.exists() else write_graph(variant, precision, path)

    return graph


@pytest.fixture(scope="session")
def engines(graphs, cache_home):
    """Build and prove an engine, once each: engines(variant, precision)."""
    return lambda variant, precision: obtain_engine(
        graphs(variant, precision), BuildOptions(precision)
    )
