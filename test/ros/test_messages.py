from __future__ import annotations

import array
import struct
import time
from dataclasses import replace

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy, sensor_msgs and stereo_msgs)")

from builtin_interfaces.msg import Time
from fakes import TrueEngine, make_camera
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CameraInfo, PointCloud2, PointField, RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline, StereoResult
from stereo_depth_ros.ros import messages
from stereo_depth_ros.ros.outputs import _disparity_limits
from stereo_depth_ros.settings import Settings

WIDTH, HEIGHT = 64, 48
HEADER = Header(stamp=Time(sec=1_700_000_000, nanosec=123_456_789), frame_id="left_optical")
SETTINGS = Settings(min_depth=0.5, max_depth=10.0, clearing_range=4.0)


def floats(message) -> np.ndarray:
    return np.frombuffer(message.data, np.float32).reshape(message.height, message.width)


@pytest.fixture(scope="module")
def result() -> StereoResult:
    """All outputs of a view with known, unknown, too near, too far and infinitely far pixels."""
    camera = make_camera(WIDTH, HEIGHT)
    depth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    depth[:, 16:24] = 5.0
    depth[:10] = 20.0
    depth[:5] = np.inf
    depth[40:, :8] = 0.3
    confidence = np.ones_like(depth)
    confidence[20:24] = 0.0
    engine = TrueEngine(camera.disparity(depth), confidence)
    black = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    left = black + np.uint8([200, 100, 50])
    return StereoPipeline(engine, SETTINGS).process(left, black, camera, set(Output))


@pytest.fixture(scope="module")
def disparity(result: StereoResult) -> DisparityImage:
    limits = _disparity_limits(result.match)
    return messages.disparity_message(
        result.outputs[Output.DISPARITY], result.match.camera, HEADER, *limits
    )


# -- bytes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        np.arange(24, dtype=np.uint8).reshape(2, 12),
        np.arange(24, dtype=np.uint16).reshape(4, 6) * 999,
        np.linspace(-1, 1, 30, dtype=np.float32).reshape(5, 6),
        np.arange(60, dtype=np.float32).reshape(6, 10)[::2, ::3],
        np.empty((0, 3), np.float32),
    ],
    ids=["uint8", "uint16", "float32", "strided", "empty"],
)
def test_bytes_are_those_of_the_array(values):
    data = messages.as_bytes(values)
    assert isinstance(data, array.array)
    assert data.typecode == "B"
    assert data.tobytes() == values.tobytes()


def test_a_large_cloud_is_assigned_in_milliseconds():
    # Any other type is checked or copied element by element, which takes a second for this size.
    data = messages.as_bytes(np.ones(16_000_000, np.uint8))
    message = PointCloud2()
    began = time.perf_counter()
    message.data = data
    assert time.perf_counter() - began < 0.2
    assert message.data == data


# -- depth ---------------------------------------------------------------------------------------


def test_depth_is_32fc1_with_the_rep_117_values(result):
    message = messages.map_message(result.outputs[Output.DEPTH], HEADER)
    assert message.header == HEADER
    assert (message.height, message.width) == (HEIGHT, WIDTH)
    assert (message.encoding, message.is_bigendian, message.step) == ("32FC1", 0, 4 * WIDTH)
    assert len(message.data) == message.step * HEIGHT
    np.testing.assert_array_equal(floats(message), result.outputs[Output.DEPTH])
    found = floats(message)
    assert np.isnan(found[22, 30])
    assert found[2, 30] == found[7, 30] == np.inf
    assert found[45, 2] == -np.inf
    assert found[30, 30] == pytest.approx(2.0, rel=1e-5)
    assert found[30, 20] == pytest.approx(5.0, rel=1e-5)


def test_millimetres_are_16uc1_and_never_mono16(result):
    message = messages.map_message(result.outputs[Output.DEPTH_MM], HEADER)
    assert message.header == HEADER
    assert (message.encoding, message.is_bigendian, message.step) == ("16UC1", 0, 2 * WIDTH)
    assert len(message.data) == message.step * HEIGHT
    found = np.frombuffer(message.data, "<u2").reshape(HEIGHT, WIDTH)
    assert found[30, 30] == 2000
    assert found[30, 20] == 5000
    assert found[22, 30] == found[2, 30] == found[7, 30] == found[45, 2] == 0


def test_confidence_is_32fc1(result):
    message = messages.map_message(result.outputs[Output.CONFIDENCE], HEADER)
    assert message.encoding == "32FC1"
    assert np.isnan(floats(message)[22, 30])
    assert floats(message)[30, 30] == 1.0


def test_a_map_of_another_type_is_refused():
    with pytest.raises(KeyError):
        messages.map_message(np.zeros((2, 2), np.float64), HEADER)


def test_map_of_three_channels_says_so():
    message = messages.map_message(np.zeros((2, 4, 3), np.float32), HEADER)

    assert (message.encoding, message.step, message.width) == ("32FC3", 48, 4)


def test_millimetres_survive_a_16_bit_png(result):
    # What compressed_depth_image_transport does to 16UC1.
    message = messages.map_message(result.outputs[Output.DEPTH_MM], HEADER)
    sent = np.frombuffer(message.data, "<u2").reshape(HEIGHT, WIDTH)
    received = cv2.imdecode(cv2.imencode(".png", sent)[1], cv2.IMREAD_UNCHANGED)
    assert received.dtype == np.uint16
    np.testing.assert_array_equal(received, result.outputs[Output.DEPTH_MM])
    assert (received > 0).sum() == np.isfinite(result.outputs[Output.DEPTH]).sum() > 0


def test_depth_survives_inverse_quantization(result):
    # What compressed_depth_image_transport does to 32FC1, with its defaults.
    quantization, farthest = 100.0, 10.0
    a = quantization * (quantization + 1)
    b = 1 - a / farthest
    sent = floats(messages.map_message(result.outputs[Output.DEPTH], HEADER))
    with np.errstate(invalid="ignore"):
        kept = np.isfinite(sent) & (sent > 0) & (sent < farthest)
        inverse = np.where(kept, a / sent + b, 0).astype(np.uint16)
    png = cv2.imdecode(cv2.imencode(".png", inverse)[1], cv2.IMREAD_UNCHANGED)
    received = np.where(png > 0, a / (png.astype(np.float32) - b), np.nan)
    np.testing.assert_array_equal(np.isfinite(received), np.isfinite(result.outputs[Output.DEPTH]))
    assert np.isfinite(received).mean() > 0.5
    np.testing.assert_allclose(received[kept], sent[kept], rtol=0.01)


# -- camera_info ---------------------------------------------------------------------------------


def test_camera_info_describes_the_rectified_left_view():
    camera = make_camera(WIDTH, HEIGHT, offset=7.0)
    message = messages.camera_info_message(camera, HEADER)
    f, cx, cy = camera.fx, camera.cx, camera.cy
    assert message.header == HEADER
    assert (message.width, message.height) == (WIDTH, HEIGHT)
    assert message.p.tolist() == [f, 0, cx, 0, 0, f, cy, 0, 0, 0, 1, 0]
    assert message.k.tolist() == [f, 0, cx, 0, f, cy, 0, 0, 1]
    assert message.r.tolist() == [1, 0, 0, 0, 1, 0, 0, 0, 1]
    assert message.distortion_model == "plumb_bob"
    assert list(message.d) == [0.0] * 5
    assert (message.binning_x, message.binning_y) in {(0, 0), (1, 1)}
    assert message.roi == RegionOfInterest()


def test_camera_info_keeps_focal_lengths_of_non_square_pixels_apart():
    camera = make_camera(WIDTH, HEIGHT).resize(WIDTH, 2 * HEIGHT)
    message = messages.camera_info_message(camera, HEADER)
    assert (message.k[0], message.k[4]) == (camera.fx, camera.fy)
    assert (message.p[0], message.p[5]) == (camera.fx, camera.fy)
    assert camera.fy == 2 * camera.fx


def test_depth_and_its_camera_info_share_stamp_frame_and_size(result):
    info = messages.camera_info_message(result.match.camera, HEADER)
    depth = messages.map_message(result.outputs[Output.DEPTH], HEADER)
    assert info.header == depth.header == HEADER
    assert (info.width, info.height) == (depth.width, depth.height)


def test_published_camera_info_reads_back_as_the_same_geometry():
    camera = make_camera(WIDTH, HEIGHT)
    message = messages.camera_info_message(camera, HEADER)
    calibration = messages.calibration_from(message, "depth/camera_info")
    assert calibration.is_rectified
    assert calibration.image_size == (WIDTH, HEIGHT)
    np.testing.assert_array_equal(calibration.p, camera.p)


def test_calibration_takes_every_number_of_a_camera_info():
    message = CameraInfo(width=1280, height=960, distortion_model="rational_polynomial")
    message.k = np.arange(1.0, 10.0)
    message.p = np.arange(11.0, 23.0)
    message.r = np.arange(31.0, 40.0)
    message.d = [0.1, -0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 0.8]
    message.binning_x, message.binning_y = 2, 4
    message.roi = RegionOfInterest(x_offset=8, y_offset=16, width=640, height=480, do_rectify=True)
    found = messages.calibration_from(message, "/cam/left/camera_info")
    assert (found.width, found.height) == (1280, 960)
    assert found.k.tolist() == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
    assert found.p.tolist() == [[11, 12, 13, 14], [15, 16, 17, 18], [19, 20, 21, 22]]
    assert found.r.tolist() == [[31, 32, 33], [34, 35, 36], [37, 38, 39]]
    assert found.d == (0.1, -0.2, 0.3, -0.4, 0.5, 0.6, 0.7, 0.8)
    assert found.distortion_model == "rational_polynomial"
    assert found.binning == (2, 4)
    assert found.roi == (8, 16, 640, 480)
    assert found.source == "/cam/left/camera_info"


def test_calibration_of_an_empty_camera_info_is_not_calibrated():
    found = messages.calibration_from(CameraInfo(), "/left/camera_info")
    assert isinstance(found, Calibration)
    with pytest.raises(ValueError, match=r"/left/camera_info.*not calibrated"):
        found.check()


# -- disparity -----------------------------------------------------------------------------------


def test_disparity_carries_one_header_twice(disparity):
    assert disparity.header == disparity.image.header == HEADER


def test_disparity_image_is_32fc1(disparity, result):
    image = disparity.image
    assert (image.height, image.width) == (HEIGHT, WIDTH)
    assert (image.encoding, image.is_bigendian, image.step) == ("32FC1", 0, 4 * WIDTH)
    assert len(image.data) == image.step * HEIGHT
    np.testing.assert_array_equal(floats(image), result.outputs[Output.DISPARITY])


def test_disparity_names_focal_length_and_positive_baseline(disparity, result):
    assert disparity.f == result.match.camera.fx > 0
    assert disparity.t == result.match.camera.baseline > 0


def test_disparity_is_valid_over_the_whole_image(disparity):
    window = disparity.valid_window
    assert (window.x_offset, window.y_offset) == (0, 0)
    assert (window.width, window.height) == (WIDTH, HEIGHT)
    assert not window.do_rectify


def test_disparity_has_a_positive_resolution(disparity):
    assert disparity.delta_d == 0.0625


def test_disparity_limits_are_those_of_the_depth_limits(disparity, result):
    focal_baseline = result.match.camera.fx * result.match.camera.baseline
    assert disparity.min_disparity == pytest.approx(focal_baseline / SETTINGS.max_depth)
    # The fake engine names no range, which then is a third of the width.
    expected = min(focal_baseline / SETTINGS.min_depth, WIDTH / 3)
    assert disparity.max_disparity == pytest.approx(expected)


@pytest.mark.parametrize("limits", [(0.1, 50.0), (0.001, 0.002), (100.0, 1e4), (49.9, 50.0)])
def test_least_disparity_lies_below_the_largest_whatever_the_limits(result, limits):
    settings = Settings(min_depth=limits[0], max_depth=limits[1])
    low, high = _disparity_limits(replace(result.match, settings=settings))
    assert 0 <= low < high


def test_depth_follows_from_the_fields_of_disparity(disparity, result):
    d, depth = floats(disparity.image), result.outputs[Output.DEPTH]
    usable = np.isfinite(depth)
    assert usable.sum() > 1000
    np.testing.assert_allclose(disparity.f * disparity.t / d[usable], depth[usable], rtol=1e-5)


def test_depth_follows_from_disparity_with_a_principal_point_offset():
    camera = make_camera(WIDTH, HEIGHT, offset=3.0)
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    truth = np.full((HEIGHT, WIDTH), 2.0, np.float32)
    engine = TrueEngine(camera.disparity(truth))
    result = StereoPipeline(engine).process(image, image, camera, {Output.DISPARITY})
    message = messages.disparity_message(
        result.outputs[Output.DISPARITY], camera, HEADER, 0.1, 20.0
    )
    np.testing.assert_allclose(message.f * message.t / floats(message.image), truth, rtol=1e-5)


def test_unknown_pixels_are_below_the_least_disparity(disparity, result):
    found = floats(disparity.image)
    assert found[22, 30] == -1.0 < disparity.min_disparity
    np.testing.assert_array_equal(found < 0, np.isnan(result.outputs[Output.DEPTH]))
    assert np.isfinite(found).all()


def test_rtabmap_keeps_exactly_the_pixels_that_have_a_depth(disparity, result):
    # rtabmap_util's disparity_to_depth keeps min_disparity < d < max_disparity.
    found = floats(disparity.image)
    kept = (found > disparity.min_disparity) & (found < disparity.max_disparity)
    np.testing.assert_array_equal(kept, np.isfinite(result.outputs[Output.DEPTH]))
    assert 0.5 < kept.mean() < 1


def test_disparity_view_can_scale_its_colours(disparity):
    # image_view's disparity_view divides by max - min and refuses a pair of zeros.
    assert disparity.image.encoding == "32FC1"
    assert disparity.min_disparity != disparity.max_disparity
    multiplier = 255.0 / (disparity.max_disparity - disparity.min_disparity)
    shown = (floats(disparity.image) - disparity.min_disparity) * multiplier + 0.5
    assert 0 <= shown[30, 30] <= 255


# -- organized cloud -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cloud(result: StereoResult) -> PointCloud2:
    return messages.point_cloud_message(result.outputs[Output.POINTS], HEADER)


def test_the_cloud_is_organized_like_the_image(cloud):
    assert cloud.header == HEADER
    assert (cloud.height, cloud.width) == (HEIGHT, WIDTH)
    assert (cloud.point_step, cloud.row_step) == (16, 16 * WIDTH)
    assert cloud.is_bigendian is False
    assert cloud.is_dense is False


def test_the_cloud_has_fields_x_y_z_rgb(cloud):
    found = [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields]
    assert found == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
        ("rgb", 12, PointField.FLOAT32, 1),
    ]


@pytest.mark.parametrize("stride", [1, 2, 5])
def test_rviz_finds_as_many_bytes_as_points(result, stride):
    image = np.full((HEIGHT, WIDTH, 3), 90, np.uint8)
    settings = Settings(points_stride=stride)
    pipeline = StereoPipeline(TrueEngine(result.match.disparity), settings)
    points = pipeline.process(image, image, result.match.camera, {Output.POINTS}).outputs[
        Output.POINTS
    ]
    cloud = messages.point_cloud_message(points, HEADER)
    assert (cloud.height, cloud.width) == (-(-HEIGHT // stride), -(-WIDTH // stride))
    assert cloud.width * cloud.height * cloud.point_step == len(cloud.data)
    assert cloud.row_step * cloud.height == len(cloud.data)


def test_a_point_lies_where_its_pixel_looks(cloud, result):
    camera, row, column = result.match.camera, 30, 50
    at = row * cloud.row_step + column * cloud.point_step
    x, y, z = struct.unpack_from("<3f", cloud.data, at)
    assert z == pytest.approx(2.0, rel=1e-5)
    assert x == pytest.approx((column - camera.cx) / camera.fx * 2.0, rel=1e-4)
    assert y == pytest.approx((row - camera.cy) / camera.fy * 2.0, rel=1e-4)


def test_a_point_has_the_colour_of_its_pixel_as_0x00rrggbb(cloud):
    at = 30 * cloud.row_step + 50 * cloud.point_step + 12
    assert struct.unpack_from("<I", cloud.data, at)[0] == (200 << 16) | (100 << 8) | 50


def test_pixels_without_depth_are_nan_in_all_coordinates(cloud, result):
    points = np.frombuffer(cloud.data, np.float32).reshape(HEIGHT, WIDTH, 4)[..., :3]
    without = ~np.isfinite(result.outputs[Output.DEPTH])
    assert np.isnan(points[without]).all()
    assert np.isfinite(points[~without]).all()
    assert 0.5 < np.isfinite(points).mean() < 1


def observed_by_nav2(cloud: PointCloud2, lowest: float, highest: float) -> list[float]:
    """The z of what nav2's ObservationBuffer keeps: it walks the bytes by point_step."""
    offset = next(field.offset for field in cloud.fields if field.name == "z")
    heights = [
        struct.unpack_from("<f", cloud.data, at + offset)[0]
        for at in range(0, len(cloud.data), cloud.point_step)
    ]
    return [z for z in heights if lowest <= z <= highest]


def test_nav2_marks_every_finite_point_and_nothing_else(cloud, result):
    observed = observed_by_nav2(cloud, -1e6, 1e6)
    assert len(observed) == np.isfinite(result.outputs[Output.DEPTH]).sum()
    assert {round(z, 3) for z in observed} == {2.0, 5.0}
    assert cloud.header.frame_id == HEADER.frame_id


def test_nav2_clears_along_the_rays_of_free_space(result):
    cloud = messages.free_space_message(result.outputs[Output.FREE_SPACE], HEADER)
    observed = observed_by_nav2(cloud, -1e6, 1e6)
    assert len(observed) == np.isposinf(result.outputs[Output.DEPTH]).sum() > 0
    assert set(observed) == {SETTINGS.clearing_range}


def test_the_cloud_reads_with_sensor_msgs_py(cloud, result):
    point_cloud2 = pytest.importorskip(
        "sensor_msgs_py.point_cloud2", reason="needs ROS 2's sensor_msgs_py"
    )
    found = point_cloud2.read_points(cloud, field_names=("x", "y", "z"), skip_nans=True)
    assert len(found) == np.isfinite(result.outputs[Output.DEPTH]).sum()


# -- free space ----------------------------------------------------------------------------------


def test_free_space_is_a_dense_list_of_points(result):
    cloud = messages.free_space_message(result.outputs[Output.FREE_SPACE], HEADER)
    count = len(result.outputs[Output.FREE_SPACE])
    assert cloud.header == HEADER
    assert (cloud.height, cloud.width) == (1, count)
    assert [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields] == [
        ("x", 0, PointField.FLOAT32, 1),
        ("y", 4, PointField.FLOAT32, 1),
        ("z", 8, PointField.FLOAT32, 1),
    ]
    assert (cloud.point_step, cloud.row_step) == (12, 12 * count)
    assert cloud.width * cloud.height * cloud.point_step == len(cloud.data)
    assert cloud.is_bigendian is False
    assert cloud.is_dense is True
    points = np.frombuffer(cloud.data, np.float32).reshape(-1, 3)
    np.testing.assert_array_equal(points, result.outputs[Output.FREE_SPACE])
    assert np.isfinite(points).all()


def test_free_space_may_be_empty():
    cloud = messages.free_space_message(np.empty((0, 3), np.float32), HEADER)
    assert (cloud.height, cloud.width) == (1, 0)
    assert (cloud.point_step, cloud.row_step) == (12, 0)
    assert len(cloud.data) == 0
    assert cloud.is_dense is True
    assert deserialize_message(serialize_message(cloud), PointCloud2) == cloud


# -- the wire ------------------------------------------------------------------------------------


def test_every_message_survives_the_wire(result, disparity, cloud):
    for message in (
        messages.camera_info_message(result.match.camera, HEADER),
        messages.map_message(result.outputs[Output.DEPTH], HEADER),
        messages.map_message(result.outputs[Output.DEPTH_MM], HEADER),
        messages.free_space_message(result.outputs[Output.FREE_SPACE], HEADER),
        cloud,
    ):
        assert deserialize_message(serialize_message(message), type(message)) == message
    received = deserialize_message(serialize_message(disparity), DisparityImage)
    assert received.image == disparity.image
    # The message's numbers are float32 on the wire.
    assert received.f == np.float32(disparity.f)
    assert received.t == np.float32(disparity.t)
