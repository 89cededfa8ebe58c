"""The node as a process: life cycle, memory, signals, silence explained, several cameras."""

from __future__ import annotations

import signal
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

import rclpy
from fakes import encode, save_graph
from graphs import save_constant_graph, save_table_graph
from lifecycle_msgs.msg import Transition
from rig import TRUTH, floats, info

from stereo_depth_ros.ros.images import encode as image_message
from stereo_depth_ros.ros.processes import (
    NODE,
    SCENE_CAMERA,
    resident_bytes,
    running,
    stop,
)

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 160, 120


def plane(disparity: float) -> np.ndarray:
    return encode(np.full((HEIGHT, WIDTH), disparity))


@pytest.fixture(scope="module")
def encoded_model(tmp_path_factory) -> str:
    return str(save_graph(tmp_path_factory.mktemp("model") / "m.onnx", WIDTH, HEIGHT))


def test_every_transition_works_and_cleanup_frees_the_engine(processes, rigs, tmp_path):
    megabyte = 2**20
    model = save_table_graph(tmp_path / "large.onnx", WIDTH, HEIGHT, 60 * megabyte)
    process = processes(NODE, {"model": str(model), "autostart": False}, "/cycle")
    rig = rigs("/cycle")
    assert rig.state() == "unconfigured"
    before = resident_bytes(process)
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.state() == "inactive"
    configured = resident_bytes(process)
    assert configured - before > 200 * megabyte

    rig.hear("depth/image_rect")
    assert not rig.until(lambda: rig.show(plane(25.0)) and rig.heard["depth/image_rect"], 1.0)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    rig.show_until_heard(plane(25.0), "depth/image_rect")

    assert rig.transition(Transition.TRANSITION_DEACTIVATE)
    rig.until(lambda: False, 0.3)
    rig.hear("depth/image_rect")
    assert not rig.until(lambda: rig.show(plane(25.0)) and rig.heard["depth/image_rect"], 1.0)
    assert rig.transition(Transition.TRANSITION_CLEANUP)
    assert rig.state() == "unconfigured"
    assert configured - resident_bytes(process) > 200 * megabyte

    assert rig.set_parameter("model", "sgbm").successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    assert rig.until(lambda: "sgbm on opencv" in rig.says("engine"))
    assert rig.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert rig.state() == "finalized"
    assert stop(process) == 0


def test_an_impossible_model_leaves_the_node_unconfigured_and_curable(processes, rigs, tmp_path):
    log = tmp_path / "log"
    processes(NODE, {"model": "no_such_model"}, "/cure", log=log)
    rig = rigs("/cure")
    assert rig.state() == "unconfigured"
    assert "model 'no_such_model' is not known; installed are sgbm, sgbm_hh" in log.read_text()
    assert rig.set_parameter("model", "sgbm").successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_work_ends_the_process_cleanly(dds, rigs, tmp_path, how):
    log, namespace = tmp_path / "log", f"/signal{int(how)}"
    camera = {"width": 640, "height": 480, "rate": 30.0}
    with (
        running(NODE, {"model": "sgbm_hh"}, namespace, log=log) as node,
        running(SCENE_CAMERA, camera, namespace, log=tmp_path / "camera") as simulated,
    ):
        rig = rigs(namespace, has_camera=False)
        rig.hear("depth/image_rect")
        assert rig.until(lambda: rig.heard["depth/image_rect"], 20.0)
        began = time.monotonic()
        assert stop(node, how) == 0, log.read_text()
        assert time.monotonic() - began < 2.0
        assert stop(simulated, how) == 0
    assert "Traceback" not in log.read_text()


def test_a_second_interrupt_does_not_disturb_the_end(dds, rigs, tmp_path):
    log = tmp_path / "log"
    with running(NODE, {"model": "sgbm"}, "/twice", log=log) as node:
        assert rigs("/twice").state() == "active"
        node.send_signal(signal.SIGINT)
        time.sleep(0.02)
        assert stop(node) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_bad_parameter_file_value_ends_in_one_line(dds, tmp_path):
    log = tmp_path / "log"
    with running(NODE, {"min_depth": "near"}, "/typo", log=log) as node:
        assert node.wait(20) == 1
    assert "cannot start" in log.read_text()
    assert "min_depth" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_two_cameras_in_two_namespaces_do_not_hear_each_other(processes, rigs, encoded_model):
    near, far = "/robot/front", "/robot/rear"
    for namespace in (near, far):
        processes(NODE, {"model": encoded_model}, namespace)
    front, rear = rigs(near), rigs(far)
    rear.hear("depth/image_rect")
    front.show_until_heard(plane(25.0), "depth/image_rect")
    rear.until(lambda: False, 0.3)
    assert not rear.heard["depth/image_rect"]
    rear.show_until_heard(plane(10.0), "depth/image_rect")
    np.testing.assert_allclose(floats(front.last("depth/image_rect")), 2.0, atol=1e-3)
    np.testing.assert_allclose(floats(rear.last("depth/image_rect")), 5.0, atol=1e-3)


def test_silence_is_explained_by_its_cause(processes, rigs, encoded_model):
    """One node a cause, all waiting out the five seconds together."""
    reliable_only = {
        f"qos_overrides./silent/qos/{side}/image_rect.subscription.reliability": "reliable"
        for side in ("left", "right")
    }
    causes = {
        "absent": ({}, "/silent/absent/left/image_rect has no publisher"),
        "qos": (reliable_only, "incompatible QoS"),
        "apart": ({"approximate_sync": "false"}, "left and right stamps differ by 7.0 ms"),
        "uncalibrated": ({}, "not calibrated"),
        "unheard": ({}, "nobody subscribes"),
        "unstamped": ({}, "stamps of the images do not advance"),
    }
    silent = {}
    for name, (parameters, _) in causes.items():
        processes(NODE, {"model": encoded_model, **parameters}, f"/silent/{name}")
        silent[name] = rigs(f"/silent/{name}", has_camera=name != "absent")
        if name != "unheard":
            silent[name].hear("depth/image_rect")
    blank = image_message(plane(25.0), "rgb8")
    empty = info(WIDTH, HEIGHT)
    empty.k, empty.p = [0.0] * 9, [0.0] * 12
    good = (info(WIDTH, HEIGHT), info(WIDTH, HEIGHT, right=True))

    def all_explained() -> bool:
        for name in ("qos", "unheard"):
            silent[name].show(plane(25.0))
        silent["apart"].show(plane(25.0), skew=0.007)
        silent["uncalibrated"].send(blank, blank, (empty, empty))
        silent["unstamped"].send_unstamped(blank, good)
        for rig in silent.values():
            rclpy.spin_once(rig, timeout_sec=0)
        return all(causes[name][1] in rig.says("outputs") for name, rig in silent.items())

    assert silent["absent"].until(all_explained, 30.0), {
        n: r.says("outputs") for n, r in silent.items()
    }
    assert "set approximate_sync:=true slop:=0.01" in silent["apart"].says("outputs")
    assert silent["apart"].diagnostics["outputs"].level == b"\x01"
    assert silent["unheard"].diagnostics["outputs"].level == b"\x00"


def test_simulated_wall_at_two_metres_is_exact_with_a_true_engine(processes, rigs, tmp_path):
    # 0.72 * 160 px * 0.12 m / 2 m
    model = save_constant_graph(tmp_path / "m.onnx", WIDTH, HEIGHT, 0.72 * WIDTH * 0.12 / 2)
    camera = {"scene": "plane", "plane_depth": 2.0, "width": WIDTH, "height": HEIGHT}
    processes(NODE, {"model": str(model)}, "/exact")
    processes(SCENE_CAMERA, camera, "/exact")
    rig = rigs("/exact", has_camera=False)
    rig.hear("depth/image_rect", TRUTH)
    assert rig.until(lambda: rig.heard["depth/image_rect"] and rig.heard[TRUTH])
    depth, truth = floats(rig.last("depth/image_rect")), floats(rig.last(TRUTH))
    np.testing.assert_allclose(truth, 2.0, atol=1e-6)
    np.testing.assert_allclose(depth, truth, atol=1e-3)


@pytest.mark.parametrize(
    "how",
    [
        {},
        {"encoding": "mono8", "reliability": "reliable"},
        {"image_transport": "compressed"},
        {"cx_offset": -6.3},
        {"encoding": "bayer_rggb8"},
        {"skew": 0.003, "drop": 0.2},
    ],
    ids=lambda how: ",".join(how) or "plain",
)
def test_simulated_wall_at_two_metres_is_measured_by_sgbm(dds, rigs, how, tmp_path):
    namespace = "/wall" + str(abs(hash(tuple(how.items()))) % 10**6)
    camera = {"scene": "plane", "plane_depth": 2.0, "width": 320, "height": 240, **how}
    node = {"model": "sgbm", "image_transport": how.get("image_transport", "raw")}
    with (
        running(NODE, node, namespace, log=tmp_path / "node"),
        running(SCENE_CAMERA, camera, namespace, log=tmp_path / "camera"),
    ):
        rig = rigs(namespace, has_camera=False)
        rig.hear("depth/image_rect")
        assert rig.until(lambda: len(rig.heard["depth/image_rect"]) > 2, 20.0), rig.diagnostics
    depth = floats(rig.last("depth/image_rect"))
    assert np.isfinite(depth).mean() > 0.6
    # SGBM leans towards whole pixels by up to a quarter, which is 1.8 % of these 13.8 px
    assert np.nanmedian(depth) == pytest.approx(2.0, rel=0.25 / 13.8)
