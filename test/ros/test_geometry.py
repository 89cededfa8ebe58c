from __future__ import annotations

import copy
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and sensor_msgs)")

from fakes import FixedEngine
from sensor_msgs.msg import CameraInfo, Image, RegionOfInterest

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.info_geometry import InfoGeometry, read_camera_info
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.rectification import rectification_map
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.processor import FrameProcessor

TOPICS = ("/cam/left/camera_info", "/cam/right/camera_info")
WIDTH, HEIGHT, FOCAL, CX, CY = 64, 48, 50.0, 31.0, 24.5
DISTORTION = (-0.2, 0.05, 0.001, -0.002, 0.0)


def info(tx: float = 0.0, d: tuple[float, ...] = (0.0,) * 5, frame: str = "left") -> CameraInfo:
    message = CameraInfo(width=WIDTH, height=HEIGHT, distortion_model="plumb_bob")
    message.header.frame_id = frame
    message.k = [FOCAL, 0.0, CX, 0.0, FOCAL, CY, 0.0, 0.0, 1.0]
    message.p = [FOCAL, 0.0, CX, tx, 0.0, FOCAL, CY, 0.0, 0.0, 0.0, 1.0, 0.0]
    message.r = np.eye(3).ravel()
    message.d = list(d)
    return message


def pair(d: tuple[float, ...] = (0.0,) * 5, baseline: float = 0.1) -> tuple[CameraInfo, CameraInfo]:
    return info(d=d), info(-FOCAL * baseline, d, "right")


class Tf:
    """Answers one baseline and remembers who asked."""

    def __init__(self, baseline: float | None = None) -> None:
        self.baseline = baseline
        self.asked: list[tuple[str, str]] = []

    def __call__(self, left: str, right: str) -> float | None:
        self.asked.append((left, right))
        return self.baseline


def geometry(
    rectify: str = "auto", raw: bool = False, baseline: float = 0.0, tf: Tf | None = None
) -> InfoGeometry:
    return InfoGeometry(TOPICS, baseline, rectify, raw, tf or Tf())


def test_the_geometry_is_that_of_the_infos():
    camera, maps = geometry().get(*pair())
    assert (camera.width, camera.height) == (WIDTH, HEIGHT)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (FOCAL, FOCAL, CX, CY)
    assert camera.baseline == pytest.approx(0.1)
    assert camera.warnings == ()
    assert maps is None


# -- when it is computed -------------------------------------------------------------------------


def test_equal_numbers_give_the_same_object():
    known = geometry("always")
    first = known.get(*pair(DISTORTION))
    assert known.get(*pair(DISTORTION)) is first


def test_tf_is_not_asked_where_the_calibration_has_a_baseline():
    tf = Tf(0.07)
    geometry(tf=tf).get(*pair(baseline=0.1))
    assert tf.asked == []


def test_header_changes_are_no_changes():
    known = geometry()
    left, right = pair()
    first = known.get(left, right)
    left.header.stamp.sec = right.header.stamp.sec = 99
    assert known.get(left, right) is first


CHANGES = {
    "width": lambda m: setattr(m, "width", WIDTH - 2),
    "height": lambda m: setattr(m, "height", HEIGHT - 2),
    "k": lambda m: m.k.__setitem__(0, FOCAL + 0.125),
    "p": lambda m: m.p.__setitem__(2, CX + 0.125),
    "r": lambda m: m.r.__setitem__(1, 0.125),
    "d": lambda m: setattr(m, "d", [0.1, 0.0, 0.0, 0.0, 0.0]),
    "distortion_model": lambda m: setattr(m, "distortion_model", "equidistant"),
    "binning_x": lambda m: setattr(m, "binning_x", 2),
    "binning_y": lambda m: setattr(m, "binning_y", 2),
    "roi": lambda m: setattr(m, "roi", RegionOfInterest(width=WIDTH - 4, height=HEIGHT)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_any_changed_number_is_seen_even_in_the_same_message(change):
    known = geometry()
    left, right = pair()
    before = known.get(left, right)
    # A driver may reuse its messages, so that the objects are no sign of change.
    change(left)
    change(right)
    after = known.get(left, right)
    assert after is not before
    assert known.camera is after[0]


def test_a_change_of_the_right_info_alone_is_seen():
    known = geometry()
    known.get(*pair(baseline=0.1))
    assert known.get(*pair(baseline=0.2))[0].baseline == pytest.approx(0.2)


def test_there_is_no_camera_before_the_first_infos():
    assert geometry().camera is None


def test_the_camera_is_the_one_last_computed():
    known = geometry()
    camera, _ = known.get(*pair())
    assert known.camera is camera


def test_a_bad_info_leaves_no_camera_and_a_good_one_brings_it_back():
    known = geometry()
    good = pair()
    first, _ = known.get(*good)
    bad = copy.deepcopy(good)
    bad[0].p[0] = 0.0
    for _ in range(2):
        with pytest.raises(CalibrationError):
            known.get(*bad)
        assert known.camera is None
    assert known.get(*good)[0] == first


# -- rectification -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rectify", "raw", "distorted", "rectifies"),
    [
        ("auto", True, True, True),
        ("auto", True, False, False),
        # The infos of rectified images keep the distortion of the lens (REP 104).
        ("auto", False, True, False),
        ("auto", False, False, False),
        ("always", True, True, True),
        ("always", True, False, True),
        ("always", False, True, True),
        ("always", False, False, True),
        ("never", True, True, False),
        ("never", True, False, False),
        ("never", False, True, False),
        ("never", False, False, False),
    ],
)
def test_rectification_goes_by_parameter_topic_and_calibration(rectify, raw, distorted, rectifies):
    d = DISTORTION if distorted else (0.0,) * 5
    _, maps = geometry(rectify, raw).get(*pair(d))
    assert (maps is not None) == rectifies


def test_one_view_that_is_not_rectified_suffices():
    left, right = pair()
    right.d = list(DISTORTION)
    assert geometry("auto", raw=True).get(left, right)[1] is not None


def test_a_rotation_alone_asks_for_rectification():
    left, right = pair()
    angle = 0.02
    left.r = [np.cos(angle), -np.sin(angle), 0.0, np.sin(angle), np.cos(angle), 0.0, 0.0, 0.0, 1.0]
    assert geometry("auto", raw=True).get(left, right)[1] is not None


@pytest.mark.parametrize(
    ("rectify", "raw", "d", "told"),
    [
        ("auto", True, DISTORTION, ["by this node", "no word 'rect'", "set rectify:=never"]),
        ("always", False, DISTORTION, ["by this node", "rectify is always"]),
        ("auto", False, DISTORTION, ["none", "taken for rectified"]),
        ("auto", True, (0.0,) * 5, ["none", "taken for rectified"]),
        ("never", True, DISTORTION, ["none", "taken for rectified"]),
    ],
)
def test_what_rectifies_the_images_is_told(rectify, raw, d, told):
    known = geometry(rectify, raw)
    known.get(*pair(d))
    assert all(text in known.rectification for text in told)


class Log:
    """Remembers what was logged, by severity."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []
        self.info, self.warning = self.infos.append, self.warnings.append


@pytest.mark.parametrize(("d", "lines"), [(DISTORTION, 1), ((0.0,) * 5, 0)])
def test_processor_logs_once_that_it_rectifies(d, lines):
    log = Log()
    outputs = SimpleNamespace(list_subscribed=set, publish_info=lambda camera, header: None)
    pipeline = StereoPipeline(FixedEngine(5.0))
    processor = FrameProcessor(
        SimpleNamespace(), pipeline, outputs, geometry(raw=True), Statistics(), log
    )
    left, right = pair(d)
    image = Image(header=left.header, width=WIDTH, height=HEIGHT)
    frame = SimpleNamespace(left=image, right=image, left_info=left, right_info=right)
    for _ in range(3):
        processor(frame)
    assert (len(log.infos), log.warnings) == (lines, [])
    assert all("rectified by this node" in line and "rectify:=never" in line for line in log.infos)


def test_empty_k_is_no_error_where_images_are_rectified_already():
    left, right = pair(DISTORTION)
    left.k = right.k = [0.0] * 9
    assert geometry("auto", raw=False).get(left, right)[0].baseline == pytest.approx(0.1)
    with pytest.raises(CalibrationError, match=r"/cam/left/camera_info: K\[0\] = 0.*fill K"):
        geometry("auto", raw=True).get(left, right)


def test_each_view_gets_its_own_map():
    left, right = pair(DISTORTION)
    right.d = [-0.1, 0.0, 0.0, 0.0, 0.0]
    _, maps = geometry("always").get(left, right)
    image = np.random.default_rng(0).integers(0, 255, (HEIGHT, WIDTH, 3), np.uint8)
    for side, message in enumerate((left, right)):
        expected = rectification_map(read_camera_info(message, ""))(image)
        np.testing.assert_array_equal(maps[side](image), expected)
    assert not np.array_equal(maps[0](image), maps[1](image))


def test_an_unknown_lens_is_an_error_only_where_it_is_rectified():
    left, right = pair(DISTORTION)
    left.distortion_model = right.distortion_model = "pentagonal"
    assert geometry("never", raw=True).get(left, right)[1] is None
    with pytest.raises(CalibrationError, match=r"/cam/left/camera_info.*pentagonal"):
        geometry("always").get(left, right)


# -- errors and the baseline ---------------------------------------------------------------------


@pytest.mark.parametrize("side", [0, 1])
def test_an_uncalibrated_camera_is_named_by_its_topic(side):
    infos = pair()
    infos[side].k = [0.0] * 9
    infos[side].p = [0.0] * 12
    with pytest.raises(CalibrationError, match=rf"^{TOPICS[side]}: .*not calibrated"):
        geometry().get(*infos)


def test_views_of_two_sizes_name_both_topics():
    left, right = pair()
    right.width = WIDTH * 2
    with pytest.raises(CalibrationError) as raised:
        geometry().get(left, right)
    assert all(topic in str(raised.value) for topic in TOPICS)


def test_swapped_topics_are_told():
    left, right = pair()
    with pytest.raises(CalibrationError, match="swapped"):
        geometry().get(right, left)


def test_a_missing_baseline_comes_from_the_parameter():
    camera, _ = geometry(baseline=0.3).get(*pair(baseline=0.0))
    assert camera.baseline == 0.3


def test_a_missing_baseline_comes_from_tf_between_the_frames():
    tf = Tf(0.07)
    camera, _ = geometry(tf=tf).get(*pair(baseline=0.0))
    assert camera.baseline == 0.07
    assert tf.asked == [("left", "right")]


def test_the_parameter_goes_before_tf():
    camera, _ = geometry(baseline=0.3, tf=Tf(0.07)).get(*pair(baseline=0.0))
    assert camera.baseline == 0.3


def test_the_calibration_goes_before_tf():
    camera, _ = geometry(tf=Tf(0.07)).get(*pair(baseline=0.1))
    assert camera.baseline == pytest.approx(0.1)


def test_tf_is_asked_again_until_it_knows():
    tf = Tf()
    known = geometry(tf=tf)
    infos = pair(baseline=0.0)
    for _ in range(3):
        with pytest.raises(CalibrationError, match="parameter 'baseline'"):
            known.get(*infos)
    tf.baseline = 0.07
    assert known.get(*infos)[0].baseline == 0.07
    assert len(tf.asked) == 4
    known.get(*infos)
    assert len(tf.asked) == 4
