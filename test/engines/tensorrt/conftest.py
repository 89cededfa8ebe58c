"""Networks and weights are those of the tests of networks and of the export."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[2]
sys.path += [str(TESTS / "networks"), str(TESTS / "export")]


@pytest.fixture(scope="session")
def rtx():
    """TensorRT-RTX, which parses and builds without a GPU."""
    pytest.importorskip("tensorrt_rtx", reason="needs the extra tensorrt-rtx")
    from stereo_depth_ros.engines.tensorrt.versions import find_runtime

    return find_runtime("tensorrt_rtx")
