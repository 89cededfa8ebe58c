from __future__ import annotations

import re
from dataclasses import replace

import pytest

from stereo_depth_ros.ros.diagnosing.watchdog import (
    SILENCE_S,
    Observation,
    TopicState,
    explain_silence,
    find_transport_loss,
)
from stereo_depth_ros.synchronizer import LEFT, RIGHT, PairSynchronizer

MS = 1_000_000
IMAGE, INFO = "sensor_msgs/msg/Image", "sensor_msgs/msg/CameraInfo"
NAMES = (
    "/cam/left/image_rect",
    "/cam/right/image_rect",
    "/cam/left/camera_info",
    "/cam/right/camera_info",
)
ARGUMENTS = ("left_image", "right_image", "left_info", "right_info")
HEALTHY = Observation(
    topics=tuple(
        TopicState(name, kind, publishers=1, hz=30.0, received=150)
        for name, kind in zip(NAMES, (IMAGE, IMAGE, INFO, INFO), strict=True)
    ),
    paired=30,
    skew_ns=0,
)

each_topic = pytest.mark.parametrize("index", range(4), ids=ARGUMENTS)


def with_topic(seen: Observation, index: int, **changes) -> Observation:
    topics = list(seen.topics)
    topics[index] = replace(topics[index], **changes)
    return replace(seen, topics=tuple(topics))


def test_health_has_no_cause():
    assert explain_silence(HEALTHY) is None


def test_without_subscribers_nothing_is_computed():
    cause = explain_silence(replace(HEALTHY, has_subscribers=False))
    assert "nobody subscribes" in cause and "subscribe to one" in cause


@pytest.mark.parametrize(("max_rate", "is_named"), [(0.1, True), (0.0, False), (0.2, False)])
def test_a_max_rate_below_one_pair_per_silence_is_named(max_rate, is_named):
    cause = explain_silence(replace(HEALTHY, max_rate=max_rate))
    assert (cause is not None) is is_named
    if is_named:
        assert cause.startswith("max_rate is 0.1 Hz, which is one pair in 10 s")


def test_a_fault_is_named_before_a_low_max_rate():
    seen = with_topic(replace(HEALTHY, max_rate=0.1), 1, publishers=0, received=0, hz=0.0)
    assert "has no publisher" in explain_silence(seen)
    assert "max_rate" not in explain_silence(replace(HEALTHY, max_rate=0.1, paired=0))


@each_topic
def test_a_topic_without_publisher_is_named_with_its_argument(index):
    seen = with_topic(HEALTHY, index, publishers=0, received=0, hz=0.0)
    cause = explain_silence(seen)
    assert cause.startswith(f"{NAMES[index]} has no publisher")
    assert f"{ARGUMENTS[index]}:=" in cause
    assert all(name not in cause for name in NAMES if name != NAMES[index])


def test_a_topic_without_publisher_names_others_of_its_type():
    seen = with_topic(
        HEALTHY, 1, publishers=0, alternatives=("/cam/right/image_raw", "/rear/right/image_rect")
    )
    cause = explain_silence(seen)
    assert "/cam/right/image_raw" in cause and "/rear/right/image_rect" in cause


@each_topic
def test_another_type_is_named(index):
    other = "sensor_msgs/msg/CompressedImage"
    seen = with_topic(HEALTHY, index, publishers=0, other_types=(other,), received=0, hz=0.0)
    cause = explain_silence(seen)
    assert cause.startswith(f"{NAMES[index]} carries {other}, not {seen.topics[index].type}")
    assert f"{ARGUMENTS[index]}:=" in cause
    assert "image_transport" in cause


def test_a_second_publisher_of_another_type_is_no_cause():
    seen = with_topic(HEALTHY, 0, other_types=("sensor_msgs/msg/CompressedImage",))
    assert explain_silence(seen) is None


@each_topic
def test_incompatible_qos_is_named_with_policy_and_override(index):
    seen = with_topic(HEALTHY, index, incompatible=("RELIABILITY policy",), received=0, hz=0.0)
    cause = explain_silence(seen)
    assert cause.startswith(f"{NAMES[index]} is published with incompatible QoS")
    assert "RELIABILITY policy" in cause
    assert f"qos_overrides.{NAMES[index]}.subscription" in cause


def test_incompatible_qos_of_one_of_two_publishers_is_no_cause():
    seen = with_topic(HEALTHY, 0, publishers=2, incompatible=("DURABILITY policy",))
    assert explain_silence(seen) is None


@each_topic
def test_a_topic_on_which_nothing_arrives_is_named(index):
    cause = explain_silence(with_topic(HEALTHY, index, received=0, hz=0.0))
    assert cause.startswith(f"{NAMES[index]} has a publisher but nothing arrives")
    assert "config/fastdds.xml" in cause


@pytest.mark.parametrize("index", [0, 1])
def test_a_stream_that_stopped_is_named(index):
    cause = explain_silence(with_topic(HEALTHY, index, hz=0.0, silence=SILENCE_S + 0.1))
    assert cause.startswith(f"{NAMES[index]} has stopped")
    assert f"{SILENCE_S:.0f} s" in cause


@each_topic
def test_a_slow_topic_has_not_stopped(index):
    assert explain_silence(with_topic(HEALTHY, index, hz=0.0, silence=SILENCE_S)) is None


def test_a_calibration_error_is_repeated():
    text = "/cam/left/camera_info: K[0] = 0 and P[0] = 0: the camera is not calibrated"
    assert text in explain_silence(replace(HEALTHY, calibration_error=text))


def test_a_frame_error_is_repeated():
    text = "left image is 640 x 480 but camera_info says 320 x 240"
    assert text in explain_silence(replace(HEALTHY, frame_error=text))


def test_an_endless_inference_is_timed():
    cause = explain_silence(replace(HEALTHY, busy_s=12.3))
    assert "12 s" in cause and "smaller model" in cause


def test_an_inference_of_less_than_the_silence_is_no_cause():
    assert explain_silence(replace(HEALTHY, busy_s=SILENCE_S)) is None


def test_stamps_that_do_not_advance_are_the_drivers():
    cause = explain_silence(replace(HEALTHY, has_zero_stamps=True, paired=0))
    assert "header.stamp" in cause and "do not advance" in cause


def test_stamps_that_differ_are_measured():
    cause = explain_silence(replace(HEALTHY, paired=0, skew_ns=-4 * MS))
    assert "differ by 4.0 ms" in cause
    assert "slop to 0.0060" in cause


@pytest.mark.parametrize("skew_ns", [200_000, 1 * MS, 4 * MS, -4 * MS, 12 * MS])
def test_the_slop_that_is_advised_pairs_such_stamps(skew_ns):
    cause = explain_silence(replace(HEALTHY, paired=0, skew_ns=skew_ns))
    slop = float(re.search(r"slop to ([0-9.]+)", cause)[1])
    synchronizer = PairSynchronizer(round(slop * 1e9))
    for number in range(1, 40):
        synchronizer.add(LEFT, number * 33 * MS, "left")
        synchronizer.add(RIGHT, number * 33 * MS + skew_ns, "right")
    assert synchronizer.paired > 25


def test_losses_are_named_before_stamps():
    seen = with_topic(replace(HEALTHY, paired=0, skew_ns=1 * MS), 0, hz=3.0)
    assert "loses large messages" in explain_silence(seen)


def test_stamps_that_never_come_close_need_synchronized_cameras():
    cause = explain_silence(replace(HEALTHY, paired=0, skew_ns=None))
    assert "never come close" in cause and "synchronize" in cause
    assert "slop" not in cause


def test_equal_stamps_that_miss_each_other_are_not_blamed_on_the_stamps():
    # One side lags by more images than wait for a partner; approximation cures nothing.
    cause = explain_silence(replace(HEALTHY, paired=0, skew_ns=0))
    assert "differ by" not in cause
    assert "queue_size" in cause


@pytest.mark.parametrize("index", [0, 1])
def test_images_slower_than_their_info_are_lost_in_the_transport(index):
    seen = with_topic(HEALTHY, index, hz=4.2)
    cause = explain_silence(seen)
    assert cause.startswith(NAMES[index])
    assert "4.2 Hz" in cause and "30.0 Hz" in cause and "config/fastdds.xml" in cause
    assert find_transport_loss(seen) == cause


@pytest.mark.parametrize(("image", "info"), [(30.0, 30.0), (22.0, 30.0), (30.0, 5.0)])
def test_images_about_as_fast_as_their_info_are_not_lost(image, info):
    seen = with_topic(with_topic(HEALTHY, 0, hz=image), 2, hz=info)
    assert find_transport_loss(seen) is None


def test_loss_is_not_told_from_a_rate_too_low_to_measure():
    seen = with_topic(with_topic(HEALTHY, 0, hz=0.2), 2, hz=0.9)
    assert find_transport_loss(seen) is None


def test_images_that_do_not_arrive_at_all_are_not_called_slow():
    assert find_transport_loss(with_topic(HEALTHY, 0, hz=0.0)) is None


def test_causes_come_in_the_order_of_their_cures():
    """Each step cures the cause that the step before it showed."""
    absent = {"publishers": 0, "received": 0, "hz": 0.0}
    silences = (60.0, 60.0, 0.0, 0.0)
    everything = Observation(
        topics=tuple(
            replace(topic, silence=silence, **absent)
            for topic, silence in zip(HEALTHY.topics, silences, strict=True)
        ),
        has_subscribers=False,
        paired=0,
        skew_ns=4 * MS,
        calibration_error="the calibration",
        frame_error="the frame",
        busy_s=60.0,
        has_zero_stamps=True,
    )
    seen = everything
    steps = [("nobody subscribes", lambda s: replace(s, has_subscribers=True))]
    for i, name in enumerate(NAMES):
        steps += [
            (f"{name} has no publisher", lambda s, i=i: with_topic(s, i, other_types=("T",))),
            (f"{name} carries T", lambda s, i=i: with_topic(s, i, publishers=1, incompatible="Q")),
            (f"{name} is published", lambda s, i=i: with_topic(s, i, incompatible=())),
            (f"{name} has a publisher", lambda s, i=i: with_topic(s, i, received=9)),
        ]
        if i < 2:
            steps.append(
                (f"{name} has stopped", lambda s, i=i: with_topic(s, i, silence=0.0, hz=1.0))
            )
        else:
            steps[-1] = (steps[-1][0], lambda s, i=i: with_topic(s, i, received=9, hz=30.0))
    steps += [
        ("the calibration", lambda s: replace(s, calibration_error=None)),
        ("every frame fails: the frame", lambda s: replace(s, frame_error=None)),
        ("one inference", lambda s: replace(s, busy_s=0.0)),
        ("the stamps of the images", lambda s: replace(s, has_zero_stamps=False)),
        (f"{NAMES[0]} arrives at", lambda s: with_topic(s, 0, hz=30.0)),
        (f"{NAMES[1]} arrives at", lambda s: with_topic(s, 1, hz=30.0)),
        ("left and right stamps", lambda s: replace(s, paired=10)),
    ]
    for expected, cure in steps:
        assert explain_silence(seen).startswith(expected)
        seen = cure(seen)
    assert explain_silence(seen) is None
