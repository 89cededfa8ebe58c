"""The node process over DDS: right values, laziness, live parameters, faults."""

from __future__ import annotations

import math

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")

from builtin_interfaces.msg import Time as Stamp
from fakes import encode
from graphs import save_table_graph
from rig import FRAME, OUTPUTS, RELIABLE, Rig, floats, info

from stereo_depth_ros.ros.images import ENCODINGS
from stereo_depth_ros.ros.images import encode as image_message
from stereo_depth_ros.ros.tools.processes import NODE

pytestmark = pytest.mark.ros

WIDTH, HEIGHT = 160, 120
NAMESPACE = "/values"
FOCAL_BASELINE = 50.0


@pytest.fixture(scope="module")
def rig(processes, rigs, tmp_path_factory) -> Rig:
    """A node whose engine answers the disparity and confidence that the left image encodes."""
    model = save_table_graph(tmp_path_factory.mktemp("model") / "m.onnx", WIDTH, HEIGHT, 200)
    processes(NODE, {"model": str(model), "max_depth": 40.0}, NAMESPACE)
    return rigs(NAMESPACE)


@pytest.fixture(autouse=True)
def fresh(rig):
    yield
    rig.unsubscribe()
    for name, value in (("min_depth", 0.1), ("confidence_threshold", 0.0)):
        assert rig.set_parameter(name, value).successful


def plane(disparity: float, width: int = WIDTH, height: int = HEIGHT) -> np.ndarray:
    return encode(np.full((height, width), disparity))


def bands() -> np.ndarray:
    """Left to right: 2 m, infinitely far, 20 m, unknown."""
    disparity, confidence = np.full((HEIGHT, WIDTH), 25.0), np.ones((HEIGHT, WIDTH))
    disparity[:, 40:80] = 0.0
    disparity[:, 80:120] = 2.5
    confidence[:, 120:] = 0.0
    return encode(disparity, confidence)


def test_plane_at_two_metres_is_two_metres_everywhere(rig):
    rig.show_until_received(plane(25.0), "depth/image_rect")
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)


def test_far_near_and_unknown_are_inf_minus_inf_and_nan(rig):
    rig.set_parameter("min_depth", 3.0)
    rig.show_until_received(bands(), "depth/image_rect", "depth/image_rect_mm")
    depth = floats(rig.last("depth/image_rect"))
    assert np.isneginf(depth[:, :40]).all()
    assert np.isposinf(depth[:, 40:80]).all()
    np.testing.assert_allclose(depth[:, 80:120], 20.0, atol=1e-3)
    assert np.isnan(depth[:, 120:]).all()
    message = rig.last("depth/image_rect_mm")
    assert message.encoding == "16UC1"
    millimetres = np.frombuffer(message.data, np.uint16).reshape(HEIGHT, WIDTH)
    assert (millimetres[:, 80:120] == 20000).all()
    assert (millimetres[:, :80] == 0).all()
    assert (millimetres[:, 120:] == 0).all()


def test_every_output_carries_the_left_image_stamp_and_frame(rig):
    stamp = rig.show_until_received(bands(), *OUTPUTS)
    for topic in OUTPUTS:
        header = rig.last(topic).header
        assert (header.stamp, header.frame_id) == (stamp, FRAME), topic
    assert rig.last("disparity").image.header == rig.last("disparity").header


def test_disparity_image_gives_depth_by_its_own_fields(rig):
    rig.show_until_received(bands(), "disparity")
    message = rig.last("disparity")
    disparity = floats(message.image)
    assert message.f * message.t == pytest.approx(FOCAL_BASELINE)
    assert message.f * message.t / disparity[0, 0] == pytest.approx(2.0)
    assert (disparity[:, 120:] < message.min_disparity).all()
    assert message.min_disparity == pytest.approx(FOCAL_BASELINE / 40.0)
    assert message.min_disparity < 2.5 < 25.0 < message.max_disparity
    assert (message.valid_window.width, message.valid_window.height) == (WIDTH, HEIGHT)
    assert message.delta_d > 0


def test_principal_point_offset_is_removed_from_depth_and_disparity(rig):
    # d = 25 px as matched, of which 5 px are the offset: 20 px of parallax are 2.5 m
    rig.show_until_received(plane(25.0), "depth/image_rect", "disparity", offset=5.0)
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.5, atol=1e-3)
    np.testing.assert_allclose(floats(rig.last("disparity").image), 20.0, atol=1e-3)


def test_confidence_is_the_engines_and_nan_where_unknown(rig):
    left = encode(np.full((HEIGHT, WIDTH), 25.0), 0.6)
    left[:, 120:, 1] = 0
    rig.show_until_received(left, "confidence/image")
    confidence = floats(rig.last("confidence/image"))
    np.testing.assert_allclose(confidence[:, :120], 0.6, atol=1e-3)
    assert np.isnan(confidence[:, 120:]).all()


def test_cloud_is_organized_coloured_and_nan_where_there_is_no_depth(rig):
    rig.show_until_received(bands(), "points", "points/free_space")
    cloud = rig.last("points")
    assert (cloud.height, cloud.width, cloud.point_step) == (HEIGHT, WIDTH, 16)
    assert cloud.width * cloud.height * cloud.point_step == len(cloud.data)
    points = np.frombuffer(cloud.data, np.float32).reshape(HEIGHT, WIDTH, 4)
    np.testing.assert_allclose(points[:, :40, 2], 2.0, atol=1e-3)
    np.testing.assert_allclose(points[0, 0, :2], [-79.5 * 2 / 100, -59.5 * 2 / 100], atol=1e-4)
    assert np.isnan(points[:, 40:80, :3]).all()
    packed = points.view(np.uint32)[0, 0, 3]
    assert (packed >> 16 & 255, packed >> 8 & 255, packed & 255) == tuple(bands()[0, 0])
    free = np.frombuffer(rig.last("points/free_space").data, np.float32).reshape(-1, 3)
    assert len(free) == 40 * HEIGHT
    np.testing.assert_allclose(free[:, 2], 5.0)


def test_size_may_change_at_run_time(rig):
    rig.show_until_received(plane(25.0), "depth/image_rect")
    # 320 x 240 is seen at half size, where 12.5 px are 25 px of the image
    rig.show_until_received(plane(12.5, 320, 240), "depth/image_rect", "depth/camera_info")
    depth = floats(rig.last("depth/image_rect"))
    assert depth.shape == (240, 320)
    np.testing.assert_allclose(depth, 2.0, atol=1e-3)
    assert (rig.last("depth/camera_info").width, rig.last("depth/camera_info").height) == (320, 240)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_reaches_the_engine(rig, encoding):
    # grey 100 means 25 px at 0.39 confidence in any encoding; yuv and Bayer come within a level
    grey = np.full((HEIGHT, WIDTH, 3), 100, np.uint8)
    rig.show_until_received(grey, "depth/image_rect", encoding=encoding)
    depth = floats(rig.last("depth/image_rect"))
    if "16" in encoding:
        # The pair's brightest pixels decide the shift: 100 << 8 comes back as 200.
        np.testing.assert_allclose(depth, 1.0, atol=1e-3)
    else:
        np.testing.assert_allclose(depth, 2.0, atol=0.05)


def test_reliable_and_best_effort_meet_on_both_sides(rig, rigs):
    reliable = rigs(NAMESPACE, qos=RELIABLE)
    reliable.subscribe("depth/image_rect", qos=RELIABLE)
    rig.show_until_received(plane(25.0), "depth/image_rect")
    assert reliable.until(lambda: reliable.received["depth/image_rect"])
    assert reliable.show_until_received(plane(25.0), "depth/image_rect")
    np.testing.assert_allclose(floats(reliable.last("depth/image_rect")), 2.0, atol=1e-3)
    reliable.unsubscribe()


def stages(rig: Rig) -> set[str]:
    return {k.split(" ")[0] for k in rig.reports("inference") if k.endswith("(ms)")}


def test_images_are_subscribed_to_only_while_the_outputs_are(rig):
    def listeners() -> int:
        return rig.count_subscribers("left/image_rect") + rig.count_subscribers("right/image_rect")

    assert rig.until(lambda: listeners() == 0)
    rig.subscribe("disparity")
    assert rig.until(lambda: listeners() == 2)
    rig.subscribe("points")
    assert rig.until(lambda: listeners() == 2)
    rig.unsubscribe()
    assert rig.until(lambda: listeners() == 0)


def test_limits_change_live_and_contradictions_are_refused(rig):
    assert rig.set_parameter("min_depth", 3.0).successful
    rig.show_until_received(plane(25.0), "depth/image_rect")
    assert np.isneginf(floats(rig.last("depth/image_rect"))).all()
    refused = rig.set_parameter("min_depth", 60.0)
    assert not refused.successful
    assert "max_depth (40)" in refused.reason
    assert rig.get_parameter_of_node("min_depth").double_value == 3.0


def test_what_needs_configuring_is_refused_while_configured(rig):
    refused = rig.set_parameter("model", "sgbm_hh")
    assert not refused.successful
    assert "cleanup" in refused.reason


def bad_encoding():
    message = image_message(plane(25.0), "rgb8")
    message.encoding = "nonsense8"
    return message, image_message(plane(25.0), "rgb8"), {}


def truncated():
    message = image_message(plane(25.0), "rgb8")
    message.data = message.data[:100]
    return message, image_message(plane(25.0), "rgb8"), {}


def other_size():
    message = image_message(plane(25.0, 80, 60), "rgb8")
    return message, message, {}


def nan_calibration():
    message = image_message(plane(25.0), "rgb8")
    return message, message, {"focal": math.nan}


def zero_baseline():
    message = image_message(plane(25.0), "rgb8")
    return message, message, {"baseline": 0.0}


def failing_engine():
    # the engine's table has 200 entries and is indexed by the brightest right pixel
    return image_message(plane(25.0), "rgb8"), image_message(plane(25.0) + 255, "rgb8"), {}


@pytest.mark.parametrize(
    ("fault", "subject", "told"),
    [
        (bad_encoding, "inference", "nonsense8"),
        (truncated, "inference", "truncated"),
        (other_size, "inference", "camera_info says 160 x 120"),
        (nan_calibration, "calibration", "NaN"),
        (zero_baseline, "calibration", "baseline is 0"),
        (failing_engine, "inference", "ONNX Runtime failed"),
    ],
)
def test_a_bad_frame_is_named_and_the_next_good_one_published(rig, fault, subject, told):
    rig.show_until_received(plane(25.0), "depth/image_rect")
    left, right, calibration = fault()
    if fault is failing_engine:
        right = image_message(np.full((HEIGHT, WIDTH, 3), 255, np.uint8), "rgb8")
    infos = (
        info(WIDTH, HEIGHT, **calibration),
        info(WIDTH, HEIGHT, right=True, **calibration),
    )

    def named() -> bool:
        rig.send(left, right, infos)
        return told in rig.says(subject)

    assert rig.until(named), rig.says(subject)
    assert rig.diagnostics[subject].level == b"\x02"
    rig.show_until_received(plane(25.0), "depth/image_rect")
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)
    assert rig.until(lambda: rig.diagnostics[subject].level == b"\x00")


@pytest.mark.parametrize(
    ("name", "blank", "default"),
    [("confidence_threshold", 1.0, 0.0), ("roi", "[[900, 900], [950, 900], [950, 950]]", "")],
)
def test_a_setting_that_blanks_every_output_is_named(rig, name, blank, default):
    def says(text: str) -> bool:
        rig.show(plane(25.0))
        return text in rig.says("outputs")

    rig.show_until_received(plane(25.0), "depth/image_rect")
    assert rig.until(lambda: says("ok")), rig.says("outputs")
    assert rig.set_parameter(name, blank).successful
    assert rig.until(lambda: says("every pixel of the newest frame is unknown"))
    assert rig.diagnostics["outputs"].level == b"\x01"
    assert rig.set_parameter(name, default).successful
    assert rig.until(lambda: says("ok")), rig.says("outputs")


def test_a_stamp_before_1970_is_published_and_counted(rig):
    rig.subscribe("depth/image_rect")
    left = image_message(plane(25.0), "rgb8")
    right = image_message(np.full_like(plane(25.0), 50), "rgb8")
    infos = (info(WIDTH, HEIGHT), info(WIDTH, HEIGHT, right=True))
    before = int(rig.reports("inference").get("failed", 0))
    seconds = iter(range(-1000, 0))

    def published() -> bool:
        rig.send_stamped(left, right, infos, Stamp(sec=next(seconds), nanosec=5))
        return bool(rig.received["depth/image_rect"])

    assert rig.until(published)
    assert rig.last("depth/image_rect").header.stamp.sec < 0
    published_so_far = int(rig.reports("outputs").get("published", 0))
    assert rig.until(lambda: int(rig.reports("outputs").get("published", 0)) > published_so_far)
    assert int(rig.reports("inference")["failed"]) == before


def test_foreign_text_is_cut_in_diagnostics(rig):
    rig.subscribe("depth/image_rect")
    message = image_message(plane(25.0), "rgb8")
    message.encoding = "n" * 100_000
    infos = (info(WIDTH, HEIGHT), info(WIDTH, HEIGHT, right=True))

    def named() -> bool:
        rig.send(message, image_message(plane(25.0), "rgb8"), infos)
        return "nnn" in rig.says("inference")

    assert rig.until(named)
    assert len(rig.says("inference")) <= 1000


def test_swapped_cameras_are_named(rig):
    rig.subscribe("depth/image_rect")
    image = image_message(plane(25.0), "rgb8")
    infos = (info(WIDTH, HEIGHT, right=True), info(WIDTH, HEIGHT))

    def named() -> bool:
        rig.send(image, image, infos)
        return "swapped" in rig.says("calibration")

    assert rig.until(named)


def test_stamps_apart_are_paired_after_a_while_and_the_skew_reported(rig):
    rig.show_until_received(plane(25.0), "depth/image_rect")
    rig.show_until_received(plane(25.0), "depth/image_rect", skew=0.004)
    np.testing.assert_allclose(floats(rig.last("depth/image_rect")), 2.0, atol=1e-3)

    def reported() -> bool:
        rig.show(plane(25.0), skew=0.004)
        values = rig.reports("input pairs")
        return (values.get("skew (ms)"), values.get("pairing")) == ("4", "within 10 ms")

    assert rig.until(reported)


def test_diagnostics_carry_rates_stages_engine_and_calibration(rig):
    rig.subscribe("depth/image_rect")

    def complete() -> bool:
        rig.show(plane(25.0))
        return set(rig.diagnostics) == {
            "engine",
            "input pairs",
            "inference",
            "outputs",
            "calibration",
        } and "inference" in stages(rig)

    assert rig.until(complete)
    assert {"decode", "fit", "inference", "filters", "depth", "publish"} <= stages(rig)
    assert float(rig.reports("calibration")["baseline (m)"]) == 0.5
    assert "m on onnxruntime" in rig.says("engine")
    assert FRAME in rig.diagnostics["engine"].hardware_id
