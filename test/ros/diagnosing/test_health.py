from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and diagnostic_msgs)")

from fakes import make_camera

from stereo_depth_ros.engines import EngineSpec, Provenance
from stereo_depth_ros.engines.tensorrt import BuildProgress
from stereo_depth_ros.pair_check import PairCheck
from stereo_depth_ros.pair_monitor import PairState
from stereo_depth_ros.ros.diagnosing import health
from stereo_depth_ros.ros.diagnosing.diagnostics import ERROR, OK, WARN
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.diagnosing.watchdog import TopicState
from stereo_depth_ros.same_view import Views
from stereo_depth_ros.synchronizer import LEFT, RIGHT, PairSynchronizer

MS = 1_000_000
TOPICS = (
    TopicState("/left/image_rect", "sensor_msgs/msg/Image", 1, hz=29.9),
    TopicState("/right/image_rect", "sensor_msgs/msg/Image", 1, hz=30.1),
)


def synchronized(skew: int = 0, count: int = 10) -> PairSynchronizer:
    synchronizer = PairSynchronizer(10 * MS)
    for number in range(count):
        synchronizer.add(LEFT, number * 33 * MS, "left")
        synchronizer.add(RIGHT, number * 33 * MS + skew, "right")
    return synchronizer


# -- input pairs ---------------------------------------------------------------------------------


def test_inputs_report_rates_pairs_and_losses():
    synchronizer = synchronized()
    synchronizer.add(LEFT, 0, "stale")
    synchronizer.add(LEFT, 400 * MS, "alone")
    synchronizer.add(LEFT, 401 * MS, "paired")
    synchronizer.add(RIGHT, 401 * MS, "paired")
    report = health.report_inputs(TOPICS, synchronizer, None)
    assert (report.subject, report.level, report.message) == ("input pairs", OK, "ok")
    expected = {
        "/left/image_rect rate (Hz)": 29.9,
        "/right/image_rect rate (Hz)": 30.1,
        "pairs": 11,
        "unpaired left": 1,
        "unpaired right": 0,
        "stale or duplicate": 1,
        "clock jumps": 0,
        "pairing": "equal stamps",
    }
    assert {key: report.values[key] for key in expected} == expected


def test_inputs_report_the_skew_and_how_they_pair():
    values = health.report_inputs(TOPICS, synchronized(4 * MS, 40), None).values
    assert values["skew (ms)"] == 4.0
    assert values["pairing"] == "within 10 ms"


def test_inputs_report_no_skew_before_it_is_known():
    values = health.report_inputs(TOPICS, PairSynchronizer(), None).values
    assert values["skew (ms)"] is None


def test_loss_on_the_way_is_a_warning():
    report = health.report_inputs(TOPICS, synchronized(), "the transport loses images")
    assert (report.level, report.message) == (WARN, "the transport loses images")
    assert report.values["pairs"] == 10


# -- inference -----------------------------------------------------------------------------------


def test_inference_reports_stages_but_not_the_latency():
    statistics = Statistics()
    statistics.record_published(
        {"inference": 0.020, "depth": 0.001}, latency=0.5, confidence=0.75, valid=0.9
    )
    for name, count in (("pairs", 5), ("replaced", 2), ("limited", 1)):
        for _ in range(count):
            statistics.count(name)
    report = health.report_inference(statistics)
    assert (report.subject, report.level, report.message) == ("inference", OK, "ok")
    assert report.values == {
        "inference p50 / p95 (ms)": pytest.approx((20.0, 20.0)),
        "depth p50 / p95 (ms)": pytest.approx((1.0, 1.0)),
        "own p50 / p95 (ms)": pytest.approx((1.0, 1.0)),
        "overhead p50 / p95 (ms)": pytest.approx((480.0, 480.0)),
        "pairs offered": 5,
        "replaced by a newer pair": 2,
        "skipped by max_rate": 1,
        "failed": 0,
        "mean confidence": 0.75,
    }


def test_a_failing_inference_is_an_error_until_a_frame_succeeds():
    statistics = Statistics()
    statistics.record_error("left image: truncated")
    report = health.report_inference(statistics)
    assert (report.level, report.message) == (ERROR, "left image: truncated")
    assert report.values["failed"] == 1
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.9)
    report = health.report_inference(statistics)
    assert (report.level, report.message) == (OK, "ok")
    assert report.values["failed"] == 1


# -- outputs -------------------------------------------------------------------------------------


def test_outputs_report_what_is_published():
    statistics = Statistics()
    for _ in range(3):
        statistics.record_published({}, latency=0.0405, confidence=0.5, valid=0.9)
    report = health.report_outputs(statistics, None, False, ["depth", "points"])
    assert (report.subject, report.level, report.message) == ("outputs", OK, "ok")
    assert report.values["published"] == 3
    assert report.values["rate (Hz)"] > 0
    assert report.values["stamp to publish p50 / p95 (ms)"] == pytest.approx((40.5, 40.5))
    assert 0 <= report.values["seconds since the last"] < 1
    assert report.values["subscribed"] == "depth, points"


@pytest.mark.parametrize(("valid", "level"), [(0.0, WARN), (1e-6, OK), (1.0, OK)])
def test_a_frame_without_a_valid_pixel_is_a_warning(valid, level):
    statistics = Statistics()
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=valid)
    report = health.report_outputs(statistics, None, False, ["depth"])
    assert report.level == level
    assert (report.message == "ok") == (level == OK)
    assert report.values["valid (%)"] == 100 * valid


def test_silence_counts_before_an_old_frame_without_a_valid_pixel():
    statistics = Statistics()
    statistics.record_published({}, latency=0.1, confidence=0.5, valid=0.0)
    report = health.report_outputs(statistics, "nobody subscribes", True, [])
    assert (report.level, report.message) == (OK, "nobody subscribes")


def test_outputs_that_never_were_say_so():
    values = health.report_outputs(Statistics(), None, False, []).values
    assert values["published"] == 0
    assert values["seconds since the last"] == "never"
    assert np.isnan(values["valid (%)"])
    assert values["subscribed"] == "nothing"
    assert np.isnan(values["stamp to publish p50 / p95 (ms)"]).all()


@pytest.mark.parametrize(("is_chosen", "level"), [(False, WARN), (True, OK)])
def test_silence_is_a_warning_unless_it_is_chosen(is_chosen, level):
    report = health.report_outputs(Statistics(), "the cause", is_chosen, [])
    assert (report.level, report.message) == (level, "the cause")


# -- engine --------------------------------------------------------------------------------------


def test_the_engine_is_reported_with_all_that_it_says_of_itself():
    spec = EngineSpec("net", "onnxruntime", 240, 320, 192.0, "fp16", "CUDA", Provenance("net.onnx"))
    report = health.report_engine(spec)
    assert (report.subject, report.level) == ("engine", OK)
    assert report.message == str(spec)
    assert report.values == {
        "name": spec.name,
        "backend": spec.backend,
        "device": spec.device,
        "precision": spec.precision,
        "provenance": str(spec.provenance),
    }


def test_an_engine_on_the_cpu_although_there_is_a_gpu_is_a_warning_with_the_reason():
    refused = "TensorRT: no memory. ONNX Runtime on the GPU: no provider"
    spec = EngineSpec(
        "net",
        "onnxruntime",
        240,
        320,
        192.0,
        "fp32",
        "CPU",
        Provenance("net.onnx"),
        degraded=refused,
    )
    report = health.report_engine(spec)
    assert report.level == WARN
    assert refused in report.message
    assert report.values["device"] == "CPU"
    assert health.report_engine(replace(spec, degraded="")).level == OK


def test_an_engine_that_is_not_loaded_is_a_warning():
    assert health.report_engine(None).level == WARN


def test_an_engine_that_is_being_built_says_how_far_and_what_runs_until_then():
    spec = EngineSpec("net", "onnxruntime", 240, 320, 192.0, "fp32", "CPU", Provenance("net.onnx"))
    report = health.report_engine(spec, None, BuildProgress(12.5, 80.0, "Timing graph nodes"))
    assert report.level == WARN
    assert str(spec) in report.message
    expected = {"build (%)": 12.5, "build step": "Timing graph nodes", "build time (s)": 80.0}
    assert {key: report.values[key] for key in expected} == expected
    assert report.values["backend"] == "onnxruntime"


def test_a_build_that_does_not_tell_how_far_it_is_says_so():
    report = health.report_engine(None, None, BuildProgress(None, 80.0, "building"))
    assert (report.level, report.values["build (%)"]) == (WARN, None)


def test_fallback_is_a_warning_with_its_cause_and_no_engine_an_error():
    spec = EngineSpec("net", "onnxruntime", 240, 320, 192.0, "fp32", "CPU", Provenance("net.onnx"))
    report = health.report_engine(spec, "no memory")
    assert report.level == WARN
    assert report.message.startswith(str(spec))
    assert "no memory" in report.message
    report = health.report_engine(None, "no memory")
    assert (report.level, report.message) == (ERROR, "no memory")


# -- calibration ---------------------------------------------------------------------------------


def test_calibration_reports_the_geometry():
    camera = make_camera(64, 48, offset=2.5)
    report = health.report_calibration(camera, None, PairState())
    assert (report.subject, report.level, report.message) == ("calibration", OK, "ok")
    assert report.values == {
        "baseline (m)": camera.baseline,
        "focal length (px)": camera.fx,
        "principal-point offset (px)": 2.5,
        "image size": "64 x 48",
        "rectification": "none",
    }


def test_a_calibration_error_is_an_error():
    report = health.report_calibration(make_camera(), "P[0] = 0", PairState())
    assert (report.level, report.message) == (ERROR, "P[0] = 0")


def test_no_camera_info_yet_is_no_fault():
    report = health.report_calibration(None, None, PairState())
    assert (report.level, report.values) == (OK, {})


def test_warnings_of_the_calibration_are_warnings():
    camera = replace(make_camera(), warnings=("the sign is wrong", "cy differs"))
    report = health.report_calibration(camera, None, PairState())
    assert (report.level, report.message) == (WARN, "the sign is wrong; cy differs")


CHECK = PairCheck(150, 0.3, -0.1, 0.02, 0.7)


def test_what_the_pairs_say_is_reported():
    pair = PairState(Views.DIFFERENT, CHECK)
    report = health.report_calibration(make_camera(), None, pair)
    assert (report.level, report.message) == (OK, "ok")
    expected = {
        "views": "different",
        "vertical disparity RMS (px)": 0.3,
        "vertical disparity median (px)": -0.1,
        "vertical disparity matches": 150,
        "matches below infinity (%)": 2.0,
        "contrast right / left": 0.7,
    }
    assert {key: report.values[key] for key in expected} == expected


def test_findings_about_the_pairs_are_warnings_beside_those_of_the_calibration():
    camera = replace(make_camera(), warnings=("cy differs",))
    pair = PairState(Views.DIFFERENT, CHECK, findings=("the rows differ",))
    report = health.report_calibration(camera, None, pair)
    assert (report.level, report.message) == (WARN, "cy differs; the rows differ")


def test_refused_pairs_are_an_error():
    pair = PairState(Views.SAME, None, "one camera twice", ("no parallax",))
    report = health.report_calibration(make_camera(), None, pair)
    assert (report.level, report.message) == (ERROR, "one camera twice")
    assert report.values["views"] == "the same"


def test_calibration_says_what_rectifies_the_images():
    text = "by this node; set rectify:=never"
    report = health.report_calibration(make_camera(), None, PairState(), text)
    # Raw images are no fault, so that the level stays.
    assert (report.level, report.values["rectification"]) == (OK, text)
