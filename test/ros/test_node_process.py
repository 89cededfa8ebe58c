"""The node as a process: life cycle, memory, signals, silence explained, several cameras."""

from __future__ import annotations

import os
import signal
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from fakes import METADATA, encode, save_graph
from graphs import save_constant_graph, save_table_graph
from lifecycle_msgs.msg import Transition
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from rig import TRUTH, floats, info
from sensor_msgs.msg import CameraInfo

from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.ros.images import encode as image_message
from stereo_depth_ros.ros.tools.processes import (
    NODE,
    SCENE_CAMERA,
    measure_resident_bytes,
    run_process,
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
    before = measure_resident_bytes(process)
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.state() == "inactive"
    configured = measure_resident_bytes(process)
    assert configured - before > 200 * megabyte

    rig.subscribe("depth/image_rect")
    assert not rig.until(lambda: rig.show(plane(25.0)) and rig.received["depth/image_rect"], 1.0)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    rig.show_until_received(plane(25.0), "depth/image_rect")

    assert rig.transition(Transition.TRANSITION_DEACTIVATE)
    rig.until(lambda: False, 0.3)
    rig.subscribe("depth/image_rect")
    assert not rig.until(lambda: rig.show(plane(25.0)) and rig.received["depth/image_rect"], 1.0)
    assert rig.transition(Transition.TRANSITION_CLEANUP)
    assert rig.state() == "unconfigured"
    assert configured - measure_resident_bytes(process) > 200 * megabyte

    assert rig.set_parameter("model", "sgbm").successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)
    assert rig.transition(Transition.TRANSITION_ACTIVATE)
    assert rig.until(lambda: "sgbm on opencv" in rig.says("engine"))
    assert rig.transition(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert rig.state() == "finalized"
    assert stop(process) == 0


CONFIGURE = Transition.TRANSITION_CONFIGURE
ACTIVATE = Transition.TRANSITION_ACTIVATE
DEACTIVATE = Transition.TRANSITION_DEACTIVATE
CLEANUP = Transition.TRANSITION_CLEANUP


@pytest.mark.parametrize("autostart", [True, False])
def test_a_manager_brings_up_and_takes_down_a_node_in_any_state(processes, rigs, autostart):
    """As nav2's does, which sends numbers and looks at the state after each."""
    namespace = f"/managed_{autostart}".lower()
    process = processes(NODE, {"model": "sgbm", "autostart": autostart}, namespace)
    rig = rigs(namespace)
    assert rig.state() == ("active" if autostart else "unconfigured")
    for identifier, goal in (
        (CONFIGURE, "inactive"),
        (CONFIGURE, "inactive"),
        (ACTIVATE, "active"),
        (ACTIVATE, "active"),
    ):
        assert rig.transition(identifier)
        assert rig.state() == goal
    rig.show_until_received(plane(25.0), "depth/image_rect")
    for identifier, goal in (
        (DEACTIVATE, "inactive"),
        (CLEANUP, "unconfigured"),
        (CLEANUP, "unconfigured"),
        (Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, "finalized"),
    ):
        assert rig.transition(identifier)
        assert rig.state() == goal
    assert process.poll() is None


def test_a_transition_that_the_state_does_not_allow_is_refused_in_one_line(
    dds, rigs, encoded_model, tmp_path
):
    log = tmp_path / "log"
    with run_process(NODE, {"model": encoded_model, "autostart": False}, "/refused", log=log):
        rig = rigs("/refused")
        refused = {ACTIVATE: "activate", DEACTIVATE: "deactivate", 99: "99", 10: "10", 0: "0"}
        for identifier in refused:
            assert not rig.transition(identifier)
            assert rig.state() == "unconfigured"
        assert rig.transition(CONFIGURE)
        assert rig.transition(ACTIVATE)
        for identifier in (CLEANUP, Transition.TRANSITION_UNCONFIGURED_SHUTDOWN, 99):
            assert not rig.transition(identifier)
            assert rig.state() == "active"
        rig.show_until_received(plane(25.0), "depth/image_rect")
        lines = [line for line in log.read_text().splitlines() if "refused" in line]
        for name in refused.values():
            assert sum(f"'{name}'" in line and "unconfigured" in line for line in lines) == 1
        assert sum("'cleanup'" in line and "is active" in line for line in lines) == 1
        assert "Traceback" not in log.read_text()


def test_an_impossible_model_leaves_the_node_unconfigured_and_curable(processes, rigs, tmp_path):
    log = tmp_path / "log"
    processes(NODE, {"model": "no_such_model"}, "/cure", log=log)
    rig = rigs("/cure")
    assert rig.state() == "unconfigured"
    told = "model 'no_such_model' is not known; installed are lite, sgbm, sgbm_hh"
    assert told in log.read_text()
    assert rig.until(lambda: told in rig.says("engine"))
    assert rig.diagnostics["engine"].level == b"\x02"
    assert rig.set_parameter("model", "sgbm").successful
    assert rig.transition(Transition.TRANSITION_CONFIGURE)


def test_without_a_model_it_is_the_network(processes, rigs):
    processes(NODE, {}, "/default")
    rig = rigs("/default")
    assert rig.until(lambda: "lite on onnxruntime" in rig.says("engine"))
    assert rig.reports("engine")["name"] == "lite"
    assert rig.get_parameter_of_node("model").string_value == "auto"


def test_without_a_runtime_for_the_network_sgbm_serves_and_one_line_says_why(dds, rigs, tmp_path):
    (tmp_path / "onnxruntime.py").write_text("raise ImportError('no such runtime')")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    log, environment = tmp_path / "log", {**os.environ, "PYTHONPATH": path}
    with run_process(NODE, {}, "/bare", environment=environment, log=log):
        rig = rigs("/bare")
        assert rig.until(lambda: "sgbm on opencv" in rig.says("engine"))
        assert "no such runtime" in rig.says("engine")
        assert rig.diagnostics["engine"].level == b"\x00"
        assert rig.state() == "active"
    (warning,) = [line for line in log.read_text().splitlines() if "[WARN]" in line]
    assert "model auto is sgbm here, as lite, which is more accurate, cannot be opened" in warning
    assert "no such runtime; install it with 'pip install onnxruntime'" in warning


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_in_the_middle_of_work_ends_the_process_cleanly(dds, rigs, tmp_path, how):
    log, namespace = tmp_path / "log", f"/signal{int(how)}"
    camera = {"width": 640, "height": 480, "rate": 30.0}
    with (
        run_process(NODE, {"model": "sgbm_hh"}, namespace, log=log) as node,
        run_process(SCENE_CAMERA, camera, namespace, log=tmp_path / "camera") as simulated,
    ):
        rig = rigs(namespace, has_camera=False)
        rig.subscribe("depth/image_rect")
        assert rig.until(lambda: rig.received["depth/image_rect"], 20.0)
        began = time.monotonic()
        assert stop(node, how) == 0, log.read_text()
        assert time.monotonic() - began < 4.5
        assert stop(simulated, how) == 0
    assert "Traceback" not in log.read_text()


def shared_memory_of(process) -> set[Path]:
    """The segments of FastDDS that a process has mapped, but for the ports of its domain."""
    fields = (line.split() for line in Path(f"/proc/{process.pid}/maps").read_text().splitlines())
    files = {f[5] for f in fields if len(f) == 6 and f[5].startswith("/dev/shm/fastrtps_")}
    return {Path(file) for file in files if "port" not in file}


def test_a_node_that_ends_leaves_no_shared_memory(dds, rigs, tmp_path):
    rig = rigs("/tidy")
    before = set(Path("/dev/shm").glob("fastrtps_*"))
    with run_process(NODE, {"model": "sgbm"}, "/tidy", log=tmp_path / "log") as node:
        assert rig.state() == "active"
        own = shared_memory_of(node) - before
        assert any(file.stat().st_size > 2**26 for file in own)
        assert stop(node) == 0
    assert not [file for file in own if file.exists()]


def test_a_second_interrupt_does_not_disturb_the_end(dds, rigs, tmp_path):
    log = tmp_path / "log"
    with run_process(NODE, {"model": "sgbm"}, "/twice", log=log) as node:
        assert rigs("/twice").state() == "active"
        node.send_signal(signal.SIGINT)
        time.sleep(0.02)
        assert stop(node) == 0, log.read_text()
    assert "Traceback" not in log.read_text()


def test_a_bad_parameter_file_value_ends_in_one_line(dds, tmp_path):
    log = tmp_path / "log"
    with run_process(NODE, {"min_depth": "near"}, "/typo", log=log) as node:
        assert node.wait(20) == 1
    assert "cannot start" in log.read_text()
    assert "min_depth" in log.read_text()
    assert "Traceback" not in log.read_text()


def test_two_cameras_in_two_namespaces_do_not_hear_each_other(processes, rigs, encoded_model):
    near, far = "/robot/front", "/robot/rear"
    for namespace in (near, far):
        processes(NODE, {"model": encoded_model}, namespace)
    front, rear = rigs(near), rigs(far)
    rear.subscribe("depth/image_rect")
    front.show_until_received(plane(25.0), "depth/image_rect")
    rear.until(lambda: False, 0.3)
    assert not rear.received["depth/image_rect"]
    rear.show_until_received(plane(10.0), "depth/image_rect")
    np.testing.assert_allclose(floats(front.last("depth/image_rect")), 2.0, atol=1e-3)
    np.testing.assert_allclose(floats(rear.last("depth/image_rect")), 5.0, atol=1e-3)


def test_topics_swapped_by_remapping_are_swapped(processes, rigs, encoded_model):
    swapped = {"left/image_rect": "right/image_rect", "right/image_rect": "left/image_rect"}
    processes(NODE, {"model": encoded_model}, "/swap", remappings=swapped)
    rig = rigs("/swap")
    # The rig's right image is grey 50, which the engine reads as 12.5 px.
    rig.show_until_received(plane(25.0), "depth/image_rect")
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 4.0, atol=1e-3)


def test_camera_info_that_is_sent_once_and_latched_is_received(processes, rigs, encoded_model):
    rig = rigs("/latched")
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    for side, is_right in (("left", False), ("right", True)):
        publisher = rig.create_publisher(CameraInfo, f"{side}/camera_info", latched)
        publisher.publish(info(WIDTH, HEIGHT, right=is_right))
    processes(NODE, {"model": encoded_model}, "/latched")
    rig.subscribe("depth/image_rect")
    left, right = image_message(plane(25.0), "rgb8"), image_message(plane(12.5), "rgb8")
    assert rig.until(lambda: rig.send(left, right, None) and rig.received["depth/image_rect"], 20.0)
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)


@pytest.mark.parametrize("sync", ["latest", "exact", "approximate"])
def test_a_bag_of_600_ms_that_loops_gives_depth_in_every_round(
    processes, rigs, encoded_model, sync
):
    if sync != "latest":
        pytest.importorskip("message_filters", reason="needs ROS 2's message_filters")
    processes(NODE, {"model": encoded_model, "sync": sync}, f"/bag_{sync}")
    rig = rigs(f"/bag_{sync}")
    rig.show_until_received(plane(25.0), "depth/image_rect")
    # As `ros2 bag play --loop` does: the same stamps anew.
    begin = rig.get_clock().now().nanoseconds
    left = image_message(plane(25.0), "rgb8")
    right = image_message(np.full_like(plane(25.0), 50), "rgb8")
    infos = (info(WIDTH, HEIGHT), info(WIDTH, HEIGHT, right=True))
    per_round = []
    for _ in range(4):
        rig.subscribe("depth/image_rect")
        for number in range(9):
            stamp = Time(nanoseconds=begin + number * 66_000_000).to_msg()
            rig.send_stamped(left, right, infos, stamp)
            rig.until(lambda: False, 0.066)
        # A busy machine may be late, before the next round.
        rig.until(lambda: rig.received["depth/image_rect"])
        per_round.append(len(rig.received["depth/image_rect"]))
    assert min(per_round) >= 1, per_round
    assert rig.until(lambda: int(rig.reports("input pairs").get("clock jumps", 0)) >= 3)


def test_camera_info_alone_costs_no_inference(processes, rigs, encoded_model):
    processes(NODE, {"model": encoded_model}, "/info")
    rig = rigs("/info")
    rig.show_until_received(plane(25.0), "depth/camera_info")
    assert rig.last("depth/camera_info").p[0] == 100.0
    assert rig.until(lambda: rig.show(plane(25.0)) and "pairs offered" in rig.reports("inference"))
    assert not [key for key in rig.reports("inference") if key.endswith("(ms)")]


def test_weights_that_forbid_commercial_use_are_named_once(processes, rigs, tmp_path):
    terms = {"licence": "CC-BY-NC-4.0", "commercial": "false"}
    model = save_graph(tmp_path / "m.onnx", WIDTH, HEIGHT, metadata={**METADATA, **terms})
    log = tmp_path / "log"
    processes(NODE, {"model": str(model)}, "/terms", log=log)

    told = "m: its licence (CC-BY-NC-4.0) does not allow commercial use"
    assert rigs("/terms").until(lambda: log.read_text().count(told) == 1)


def test_graph_for_any_size_sees_every_camera_at_its_own(processes, rigs, tmp_path):
    sizes = AnySize((HEIGHT, WIDTH), (8, 8), 4)
    metadata = {**METADATA, **sizes.as_metadata()}
    model = save_graph(tmp_path / "any.onnx", image_shape=(1, "H", "W", 3), metadata=metadata)
    processes(NODE, {"model": str(model)}, "/any_size")

    rig = rigs("/any_size")

    # A graph of one size would see the second at half its own, where 25 px are 50 of the image.
    for width, height in ((WIDTH, HEIGHT), (2 * WIDTH, 2 * HEIGHT), (WIDTH, HEIGHT)):
        image = encode(np.full((height, width), 25.0))
        rig.show_until_received(image, "depth/image_rect")
        depth = floats(rig.last("depth/image_rect"))
        assert depth.shape == (height, width)
        np.testing.assert_allclose(depth, 2.0, atol=1e-3)
    assert rig.until(lambda: "any size" in rig.says("engine"))


@pytest.mark.parametrize(
    ("frame_id", "told"),
    [("", "no frame_id"), ("/left", "frame_id of the left images is /left"), ("left", None)],
    ids=["empty", "slash", "right"],
)
def test_a_frame_id_that_tf_does_not_know_is_named_once(
    dds, rigs, encoded_model, tmp_path, frame_id, told
):
    log, namespace = tmp_path / "log", f"/frame_{frame_id.strip('/')}{len(frame_id)}"
    with run_process(NODE, {"model": encoded_model}, namespace, log=log):
        rig = rigs(namespace)
        rig.frame_id = frame_id
        rig.show_until_received(plane(25.0), "depth/image_rect")
        assert rig.last("depth/image_rect").header.frame_id == frame_id
        rig.show_until_received(plane(25.0), "depth/image_rect")
    warnings = [line for line in log.read_text().splitlines() if "frame_id" in line]
    assert len(warnings) == (told is not None)
    assert all(told in line and "camera driver" in line for line in warnings)


@pytest.mark.parametrize("topic", ["left/image_rect.subscription", "points.publisher"])
def test_a_wrong_qos_override_is_named_and_kills_nothing(dds, rigs, encoded_model, tmp_path, topic):
    log, namespace = tmp_path / "log", "/override_" + topic.split("/")[0].split(".")[0]
    wrong = {f"qos_overrides.{namespace}/{topic}.reliability": "bogus"}
    with run_process(NODE, {"model": encoded_model, **wrong}, namespace, log=log):
        rig = rigs(namespace)
        assert rig.state() == "unconfigured"
        assert rig.until(lambda: "cannot configure" in rig.says("engine"))
        assert "bogus" in log.read_text()


def test_newest_pair_wins_so_that_age_and_memory_stay_bounded(processes, rigs):
    camera = {"width": 640, "height": 480, "rate": 60.0}
    node = processes(NODE, {"model": "sgbm_hh"}, "/busy")
    processes(SCENE_CAMERA, camera, "/busy")
    rig = rigs("/busy", has_camera=False)
    rig.subscribe("depth/image_rect")
    assert rig.until(lambda: len(rig.received["depth/image_rect"]) > 8, 30.0)

    def peak(seconds: float) -> int:
        # The engine's buffers come and go with every inference.
        sizes = []
        rig.until(lambda: sizes.append(measure_resident_bytes(node)), seconds)
        return max(sizes)

    early = peak(5.0)
    rig.until(lambda: False, 5.0)
    assert int(rig.reports("inference")["replaced by a newer pair"]) > 50
    (_, inference), (latency, _) = (
        map(float, rig.reports(subject)[f"{stage} p50 / p95 (ms)"].split(" / "))
        for subject, stage in (("inference", "inference"), ("outputs", "stamp to publish"))
    )
    # One period of 17 ms, one inference, and room for a machine that does other things too;
    # a queue of ten would add ten inferences.
    assert latency < 2 * inference + 17 + 100
    assert peak(5.0) < 1.05 * early
    stamps = [
        (s.sec, s.nanosec) for s in (m.header.stamp for m in rig.received["depth/image_rect"])
    ]
    assert stamps == sorted(set(stamps))


def test_silence_is_explained_by_its_cause(processes, rigs, encoded_model):
    """One node a cause, all waiting out the five seconds together."""
    reliable_only = {
        f"qos_overrides./silent/qos/{side}/image_rect.subscription.reliability": "reliable"
        for side in ("left", "right")
    }
    causes = {
        "absent": ({}, "/silent/absent/left/image_rect has no publisher"),
        "qos": (reliable_only, "incompatible QoS"),
        "apart": ({"slop": 0.005}, "left and right stamps differ by 7.0 ms"),
        "uncalibrated": ({}, "not calibrated"),
        "unsubscribed": ({}, "nobody subscribes"),
        "unstamped": ({}, "stamps of the images do not advance"),
    }
    silent = {}
    for name, (parameters, _) in causes.items():
        processes(NODE, {"model": encoded_model, **parameters}, f"/silent/{name}")
        silent[name] = rigs(f"/silent/{name}", has_camera=name != "absent")
        if name != "unsubscribed":
            silent[name].subscribe("depth/image_rect")
    blank = image_message(plane(25.0), "rgb8")
    empty = info(WIDTH, HEIGHT)
    empty.k, empty.p = [0.0] * 9, [0.0] * 12
    good = (info(WIDTH, HEIGHT), info(WIDTH, HEIGHT, right=True))

    def explained(name: str, cause: str) -> bool:
        for shown in ("qos", "unsubscribed"):
            silent[shown].show(plane(25.0))
        silent["apart"].show(plane(25.0), skew=0.007)
        silent["uncalibrated"].send(blank, blank, (empty, empty))
        silent["unstamped"].send_unstamped(blank, good)
        return cause in silent[name].says("outputs")

    # One rig after the other: each has to keep up with the diagnostics of all nodes.
    for name, (_, cause) in causes.items():
        said = silent[name].until(partial(explained, name, cause), 60.0)
        assert said, f"{name}: {silent[name].says('outputs')}"
    assert "slop to 0.0105" in silent["apart"].says("outputs")
    assert silent["apart"].diagnostics["outputs"].level == b"\x01"
    assert silent["unsubscribed"].diagnostics["outputs"].level == b"\x00"


def test_simulated_wall_at_two_metres_is_exact_with_a_true_engine(processes, rigs, tmp_path):
    # 0.72 * 160 px * 0.12 m / 2 m
    model = save_constant_graph(tmp_path / "m.onnx", WIDTH, HEIGHT, 0.72 * WIDTH * 0.12 / 2)
    camera = {"scene": "plane", "plane_depth": 2.0, "width": WIDTH, "height": HEIGHT}
    processes(NODE, {"model": str(model)}, "/exact")
    processes(SCENE_CAMERA, camera, "/exact")
    rig = rigs("/exact", has_camera=False)
    rig.subscribe("depth/image_rect", TRUTH)
    assert rig.until(lambda: rig.received["depth/image_rect"] and rig.received[TRUTH])
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
        run_process(NODE, node, namespace, log=tmp_path / "node"),
        run_process(SCENE_CAMERA, camera, namespace, log=tmp_path / "camera"),
    ):
        rig = rigs(namespace, has_camera=False)
        rig.subscribe("depth/image_rect")
        assert rig.until(lambda: len(rig.received["depth/image_rect"]) > 2, 20.0), rig.diagnostics
    depth = floats(rig.last("depth/image_rect"))
    assert np.isfinite(depth).mean() > 0.6
    # SGBM leans towards whole pixels by up to a quarter, which is 1.8 % of these 13.8 px
    assert np.nanmedian(depth) == pytest.approx(2.0, rel=0.25 / 13.8)
