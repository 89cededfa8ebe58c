from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and sensor_msgs)")

from rclpy.impl.rcutils_logger import RcutilsLogger
from rclpy.parameter import Parameter
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.pictures import read_image, write_image
from stereo_depth_ros.rectification import rectification_map
from stereo_depth_ros.ros.tools.scene_camera import SceneCamera

SMALL = {"scene": "plane", "width": 32, "height": 24}
NAMESPACE = "/scene_camera_parts"


@pytest.fixture
def made(dds) -> Iterator[Callable[..., SceneCamera]]:
    """Makes small cameras, which are never spun, and removes them after the test."""
    cameras = []

    def make(**parameters: object) -> SceneCamera:
        overrides = [Parameter(n, value=v) for n, v in {**SMALL, **parameters}.items()]
        cameras.append(SceneCamera(namespace=NAMESPACE, parameter_overrides=overrides))
        return cameras[-1]

    yield make
    for camera in cameras:
        camera.destroy_node()


def topics(camera: SceneCamera) -> dict[str, type]:
    return {
        publisher.topic_name.removeprefix(f"{NAMESPACE}/"): publisher.msg_type
        for publisher in camera.publishers
        if publisher.topic_name.startswith(f"{NAMESPACE}/")
    }


def reliabilities(camera: SceneCamera) -> set[ReliabilityPolicy]:
    """Those of the topics that `topics` names."""
    return {
        publisher.qos_profile.reliability
        for publisher in camera.publishers
        if publisher.topic_name.startswith(f"{NAMESPACE}/")
    }


INFOS = {"left/camera_info": CameraInfo, "right/camera_info": CameraInfo}


def test_it_publishes_what_a_rectified_pair_publishes_and_the_truth(made):
    assert topics(made()) == {
        "left/image_rect": Image,
        "right/image_rect": Image,
        "truth/depth/image_rect": Image,
        **INFOS,
    }


@pytest.fixture
def logged(monkeypatch) -> list[tuple[str, str]]:
    """Level and text of what nodes log."""
    lines: list[tuple[str, str]] = []
    for level in ("warning", "info"):
        monkeypatch.setattr(
            RcutilsLogger, level, lambda _, text, level=level: lines.append((level, text))
        )
    return lines


def test_parameter_that_it_does_not_know_is_named(made, logged):
    made(widht=64, others_own=1)

    assert ("warning", "parameter widht is not known and ignored; did you mean width?") in logged
    assert ("info", "parameters that this node does not know: others_own") in logged


def test_parameters_that_it_knows_are_not_remarked_on(made, logged):
    made(width=64, use_sim_time=False)

    assert [level for level, _ in logged] == ["info"]
    assert "sending 64 x 24" in logged[0][1]


def test_compressed_images_come_on_the_topics_of_image_transport(made):
    found = topics(made(image_transport="compressed"))
    assert found == {
        "left/image_rect/compressed": CompressedImage,
        "right/image_rect/compressed": CompressedImage,
        "truth/depth/image_rect": Image,
        **INFOS,
    }


@pytest.mark.parametrize(
    ("word", "policy"),
    [("best_effort", ReliabilityPolicy.BEST_EFFORT), ("reliable", ReliabilityPolicy.RELIABLE)],
)
def test_all_topics_have_the_reliability_asked_for(made, word, policy):
    assert reliabilities(made(reliability=word)) == {policy}


def test_a_camera_is_best_effort_as_sensors_are(made):
    assert reliabilities(made()) == {ReliabilityPolicy.BEST_EFFORT}


def test_every_parameter_is_described(made):
    camera = made()
    for name in (*SMALL, "rate", "noise", "skew", "drop", "encoding", "left_file"):
        assert len(camera.describe_parameter(name).description) > 5


@pytest.mark.parametrize("encoding", ["bgra8", "mono16", "bayer_grbg8", "yuv422_yuy2"])
def test_it_sends_other_encodings(made, encoding):
    assert "left/image_rect" in topics(made(encoding=encoding, noise=0.0))


@pytest.mark.parametrize("name", ["scene", "encoding", "reliability", "image_transport"])
def test_a_word_that_is_not_known_is_refused_in_words(made, name):
    # What is no ValueError ends the process in a traceback.
    with pytest.raises(ValueError, match=r"nonsense"):
        made(**{name: "nonsense"})


@pytest.mark.parametrize("rate", [0.0, -5.0])
def test_a_rate_that_is_none_is_refused_in_words(made, rate):
    with pytest.raises(ValueError, match=r"rate"):
        made(rate=rate)


# -- files ---------------------------------------------------------------------------------------


@pytest.fixture
def files(tmp_path) -> dict[str, str]:
    """Parameters of a pair of 32 x 24 images with their calibration."""
    image = np.arange(32 * 24 * 3, dtype=np.uint8).reshape(24, 32, 3)
    for name in ("left", "right"):
        write_image(tmp_path / f"{name}.png", image)
    write_image(tmp_path / "large.png", np.repeat(image, 2, axis=1))
    (tmp_path / "calib.yaml").write_text("focal_px: 30.0\nbaseline_m: 0.1\ncx: 15.5\ncy: 11.5\n")
    return {
        "left_file": str(tmp_path / "left.png"),
        "right_file": str(tmp_path / "right.png"),
        "calibration_file": str(tmp_path / "calib.yaml"),
    }


def test_files_are_sent_on_the_topics_of_the_scene(made, files):
    assert {"left/image_rect", "right/image_rect", *INFOS} <= topics(made(**files)).keys()


def test_two_files_of_different_size_are_refused(made, files, tmp_path):
    with pytest.raises(ValueError, match="differ in size"):
        made(**{**files, "right_file": str(tmp_path / "large.png")})


def test_files_of_another_size_than_their_calibration_are_refused(made, files, tmp_path):
    (tmp_path / "calib.txt").write_text(
        "cam0=[30 0 15; 0 30 11; 0 0 1]\ncam1=[30 0 15; 0 30 11; 0 0 1]\n"
        "baseline=100\nwidth=32\nheight=20\n"
    )
    with pytest.raises(ValueError, match="is for 32 x 20 images, not 32 x 24"):
        made(**{**files, "calibration_file": str(tmp_path / "calib.txt")})


def test_raw_files_are_sent_rectified(made, files, tmp_path):
    lens = (
        "{camera_model: pinhole, intrinsics: [30, 30, 15.5, 11.5], distortion_model: radtan, "
        "distortion_coeffs: [-0.2, 0.02, 0, 0], resolution: [32, 24]"
    )
    pose = "[[1, 0, 0, -0.1], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]"
    chain = tmp_path / "camchain.yaml"
    chain.write_text(f"cam0: {lens}}}\ncam1: {lens}, T_cn_cnm1: {pose}}}\n")
    camera = made(**{**files, "calibration_file": str(chain)}, noise=0.0)
    image = np.frombuffer(camera._images[0][0].data, np.uint8).reshape(24, 32, 3)
    left, _ = read_calibration(str(chain), 32, 24)
    expected = rectification_map(left)(read_image(tmp_path / "left.png"))
    np.testing.assert_array_equal(image, expected)
    assert not np.array_equal(image, read_image(tmp_path / "left.png"))


@pytest.mark.parametrize("name", ["left_file", "right_file", "calibration_file"])
def test_a_missing_file_is_named(made, files, name):
    with pytest.raises((OSError, ValueError), match=r"absent\.file"):
        made(**{**files, name: "absent.file"})


@pytest.mark.parametrize("name", ["right_file", "calibration_file"])
def test_a_file_that_was_not_given_is_refused_in_words(made, files, name):
    with pytest.raises((OSError, ValueError)) as raised:
        made(**{**files, name: ""})
    assert name.split("_")[0] in str(raised.value)
