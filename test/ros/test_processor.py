from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy and sensor_msgs)")

import rclpy
from fakes import FixedEngine
from rclpy.clock import ROSClock
from rig import info
from sensor_msgs.msg import CompressedImage

from stereo_depth_ros import info_geometry
from stereo_depth_ros.decoding import compressed
from stereo_depth_ros.info_geometry import InfoGeometry
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pair_monitor import PairMonitor
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.ros.diagnosing.statistics import Statistics
from stereo_depth_ros.ros.images import encode
from stereo_depth_ros.ros.inputs import Frame
from stereo_depth_ros.ros.messages import as_bytes, image_message
from stereo_depth_ros.ros.processor import FrameProcessor
from stereo_depth_ros.settings import Settings

WIDTH, HEIGHT = 64, 48


class Outputs:
    """Depth has a subscriber; what is published is kept."""

    def __init__(self) -> None:
        self.published = []

    def list_subscribed(self):
        return {Output.DEPTH}

    def publish(self, result, header) -> None:
        self.published.append(result)


class Log:
    def __init__(self) -> None:
        self.errors: list[str] = []
        self.warnings: list[str] = []

    def error(self, text: str) -> None:
        self.errors.append(text)

    def warning(self, text: str) -> None:
        self.warnings.append(text)

    def info(self, text: str) -> None:
        pass


@pytest.fixture
def rig(dds):
    """A processor between inputs that the test makes and outputs that it reads."""
    outputs, log = Outputs(), Log()
    node = SimpleNamespace(context=rclpy.get_default_context(), get_clock=ROSClock)
    topics = ("left/camera_info", "right/camera_info")
    pair_geometry = InfoGeometry(topics, 0.0, "always", True, lambda left, right: None)
    pipeline = StereoPipeline(FixedEngine(5.0), monitor=PairMonitor())
    processor = FrameProcessor(node, pipeline, outputs, pair_geometry, Statistics(), log)
    return SimpleNamespace(processor=processor, outputs=outputs, log=log, pipeline=pipeline)


def png(height: int, width: int) -> CompressedImage:
    data = cv2.imencode(".png", np.full((height, width), 90, np.uint8))[1]
    return CompressedImage(format="mono8; png compressed ", data=as_bytes(data))


def frame(image, width: int = WIDTH, height: int = HEIGHT, focal: float = 100.0) -> Frame:
    infos = info(width, height, focal), info(width, height, focal, right=True)
    return Frame(image, image, *infos)


@pytest.fixture
def refuse_work(monkeypatch):
    """Fail where an image is decoded or a map is made."""

    def work(*arguments):
        raise AssertionError("too late to refuse")

    monkeypatch.setattr(compressed.cv2, "imdecode", work)
    monkeypatch.setattr(info_geometry, "rectification_map", work)


@pytest.mark.parametrize("size", [(12000, 12000), (WIDTH, HEIGHT + 1)])
def test_a_compressed_image_of_another_size_is_refused_by_its_header(rig, refuse_work, size):
    rig.processor(frame(png(*size[::-1])))
    assert rig.outputs.published == []
    (error,) = rig.log.errors
    assert f"left image is {size[0]} x {size[1]} but camera_info says 64 x 48" in error


def test_maps_for_images_of_another_size_are_not_made(rig, refuse_work):
    raw = encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "mono8")
    for image in (raw, png(HEIGHT, WIDTH)):
        rig.processor(frame(image, 16000, 16000, focal=12000.0))
    assert rig.outputs.published == []
    assert len(rig.log.errors) == 2
    for error in rig.log.errors:
        assert "left image is 64 x 48 but camera_info says 16000 x 16000" in error


def test_the_right_image_is_compared_too(rig, refuse_work):
    raw = encode(np.zeros((HEIGHT, WIDTH, 3), np.uint8), "mono8")
    pair = frame(raw)
    rig.processor(Frame(raw, png(HEIGHT, 2 * WIDTH), pair.left_info, pair.right_info))
    assert "right image is 128 x 48 but camera_info says 64 x 48" in rig.log.errors[0]


def test_an_image_of_the_size_of_camera_info_is_processed(rig):
    rig.processor(frame(png(HEIGHT, WIDTH)))
    assert rig.log.errors == []
    # focal * baseline is 50 px m
    np.testing.assert_allclose(rig.outputs.published[0].outputs[Output.DEPTH][5:-5, 5:-5], 10.0)


def test_the_share_of_valid_pixels_is_that_of_the_newest_frame(rig):
    statistics = rig.processor._statistics
    rig.processor(frame(png(HEIGHT, WIDTH)))
    assert statistics.valid > 0.5
    rig.pipeline.settings = Settings(roi=(900, 900, 950, 900, 950, 950))
    rig.processor(frame(png(HEIGHT, WIDTH)))
    assert statistics.valid == 0
    rig.pipeline.settings = Settings(roi=(0, 0, 15, 0, 15, 11, 0, 11))
    rig.processor(frame(png(HEIGHT, WIDTH)))
    assert 0 < statistics.valid <= 16 * 12 / (WIDTH * HEIGHT)


def deep(value: int):
    return image_message(np.full((HEIGHT, WIDTH), value, "<u2"), "mono16", WIDTH)


def test_the_brightness_of_16_bits_stays_while_the_camera_is_the_same(rig):
    for value in (4000, 1000):
        rig.processor(frame(deep(value)))
    bright, dim = (left[10, 10, 0] for left, _ in rig.pipeline.engine.pairs)
    assert (bright, dim) == (4000 >> 4, 1000 >> 4)

    camera = info(WIDTH, HEIGHT, focal=90.0), info(WIDTH, HEIGHT, focal=90.0, right=True)
    rig.processor(Frame(deep(1000), deep(1000), *camera))
    assert rig.pipeline.engine.pairs[-1][0][10, 10, 0] == 1000 >> 2


def pair_frame(left, right, focal: float = 260.0) -> Frame:
    height, width = left.shape[:2]
    infos = info(width, height, focal, 0.12), info(width, height, focal, 0.12, right=True)
    return Frame(encode(left, "rgb8"), encode(right, "rgb8"), *infos)


def test_a_wrong_pair_is_an_error_and_no_output(rig, yard):
    for _ in range(2):
        rig.processor(pair_frame(yard.pair.right, yard.pair.left))

    assert rig.outputs.published == []
    assert len(rig.log.errors) == 2
    assert "left and right are swapped" in rig.log.errors[0]
    assert "left and right are swapped" in rig.processor.pair.refusal


def test_a_finding_about_the_pairs_is_logged_once_per_geometry(rig, yard):
    dark = (yard.pair.right * 0.5).astype(np.uint8)
    for _ in range(3):
        rig.processor(pair_frame(yard.pair.left, dark))

    assert len(rig.outputs.published) == 3
    assert len(rig.log.warnings) == 1
    assert "times the contrast of the left" in rig.log.warnings[0]

    rig.processor(pair_frame(yard.pair.left, dark, focal=261.0))
    assert len(rig.log.warnings) == 2


def test_a_pair_is_rectified_once_and_its_check_is_a_stage(rig, yard, monkeypatch):
    calls = []
    rectify = RectificationMap.__call__

    def count(self, image):
        calls.append(image.ndim)
        return rectify(self, image)

    monkeypatch.setattr(RectificationMap, "__call__", count)
    rig.processor(pair_frame(yard.pair.left, yard.pair.right))

    # Beside the two images only the mask of what the left one shows.
    assert sorted(calls) == [2, 3, 3]
    assert "pair check" in rig.outputs.published[0].match.seconds
