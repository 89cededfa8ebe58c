"""The node while an engine is being built: a real child process, ONNX Runtime for the GPU."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

sys.path.append(str(Path(__file__).parents[1] / "engines" / "tensorrt"))

from fakes import encode
from gated_build import builder_of, is_alive, let_through
from lifecycle_msgs.msg import Transition
from rig import floats
from stand_ins import engines_in, save

from stereo_depth_ros.ros.tools.processes import run_process, stop

pytestmark = pytest.mark.ros

HERE = Path(__file__).parent
BUILDS = HERE.parent / "engines" / "tensorrt"
NODE = "stand_in_node"
WIDTH, HEIGHT = 160, 120
PLANE = encode(np.full((HEIGHT, WIDTH), 25.0))


@pytest.fixture
def graph(tmp_path):
    return save(tmp_path / "net.onnx", width=WIDTH, height=HEIGHT)


@pytest.fixture(params=[{}, {"STAND_IN_THREADS": "several"}], ids=["one thread", "several threads"])
def executor(request):
    return request.param


@pytest.fixture
def node(dds, graph, tmp_path, executor):
    """node(namespace, ...): the process, with ``graph`` as its model; a context."""

    def start(namespace, **parameters):
        paths = [str(p) for p in (HERE, BUILDS, HERE.parent)]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*paths, os.environ.get("PYTHONPATH", "")]),
            "STAND_IN_CACHE": str(tmp_path / "cache"),
            **executor,
        }
        values = {"model": str(graph), **parameters}
        return run_process(NODE, values, namespace, environment=environment, log=tmp_path / "log")

    return start


def test_frames_flow_during_the_build_and_the_engine_is_swapped_after_it(
    node, rigs, graph, tmp_path
):
    with node("/build"):
        rig = rigs("/build")
        rig.show_until_received(PLANE, "depth/image_rect")
        np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)
        assert rig.until(lambda: rig.reports("engine").get("build (%)") == "42")
        assert rig.reports("engine")["build step"] == "waiting"
        assert rig.diagnostics["engine"].level == b"\x01"
        assert "being built: waiting: 42 %" in rig.says("engine")
        assert "until then net on onnxruntime" in rig.says("engine")
        before = int(rig.reports("outputs")["published"])
        let_through(graph)

        def is_swapped() -> bool:
            rig.show(PLANE)
            # The loader tells of its end a moment after the swap.
            is_ok = rig.diagnostics["engine"].level == b"\x00"
            return is_ok and "self-test: finite 100 %" in rig.says("engine")

        assert rig.until(is_swapped, 30.0), rig.says("engine")
        rig.show_until_received(PLANE, "depth/image_rect")
        np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)
        assert rig.until(lambda: int(rig.reports("outputs")["published"]) > before)
        assert rig.reports("inference")["failed"] == "0"
    log = (tmp_path / "log").read_text()
    assert "TensorRT engine: no engine yet: building in fp32" in log
    assert log.count("engine: net on") == 2
    assert "Traceback" not in log


def test_without_the_fallback_nothing_is_published_until_the_engine_is_built(node, rigs, graph):
    with node("/wait", build_fallback=False):
        rig = rigs("/wait")
        assert rig.state() == "active", "a build keeps nobody waiting"
        rig.subscribe("depth/image_rect")
        assert rig.until(lambda: "nothing is published until then" in rig.says("engine"))
        assert not rig.until(lambda: rig.show(PLANE) and rig.received["depth/image_rect"], 1.0)
        assert rig.until(lambda: rig.says("outputs") == "there is no engine yet")
        assert rig.set_parameter("min_depth", 3.0).successful
        let_through(graph)
        rig.show_until_received(PLANE, "depth/image_rect")
        assert np.isneginf(floats(rig.last("depth/image_rect"))).all()


def test_cleanup_stops_a_build_and_the_node_can_be_configured_again(node, rigs, graph, tmp_path):
    with node("/cleanup"):
        rig = rigs("/cleanup")
        assert rig.until(lambda: builder_of(graph))
        builder = builder_of(graph)
        assert rig.transition(Transition.TRANSITION_DEACTIVATE)
        assert is_alive(builder), "deactivate stops frames, not the build"
        assert rig.transition(Transition.TRANSITION_CLEANUP)
        assert rig.state() == "unconfigured"
        assert not is_alive(builder)
        assert engines_in(tmp_path / "cache") == []
        let_through(graph)
        assert rig.transition(Transition.TRANSITION_CONFIGURE)
        assert rig.until(lambda: "self-test: finite 100 %" in rig.says("engine"), 30.0)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_a_build_ends_node_and_build(node, rigs, graph, tmp_path, how):
    namespace = f"/stop{int(how)}"
    with node(namespace) as process:
        rig = rigs(namespace)
        assert rig.until(lambda: builder_of(graph))
        builder = builder_of(graph)
        assert stop(process, how) == 0, (tmp_path / "log").read_text()
        assert not is_alive(builder)
    assert engines_in(tmp_path / "cache") == []
    assert "Traceback" not in (tmp_path / "log").read_text()


def test_models_without_a_budget_are_refused_by_name(node, rigs):
    with node("/contradiction", models="sgbm, sgbm_hh"):
        rig = rigs("/contradiction")
        assert rig.until(
            lambda: "models takes effect only with latency_budget_ms" in rig.says("engine")
        )
        assert rig.state() == "unconfigured"


def test_budget_chooses_and_says_what_it_measured(node, rigs, tmp_path):
    how = {"models": "sgbm_hh, sgbm", "latency_budget_ms": 60000.0}
    with node("/budget", **how):
        rig = rigs("/budget")
        told = "the most accurate within 60000 ms: sgbm_hh: "
        assert rig.until(lambda: told in rig.says("engine"), 30.0)
