"""The point cloud and the cloud of free space."""

import numpy as np
from fakes import FixedEngine, TrueEngine, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import depths, images, process, seeing

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings


def test_points_are_rays_times_depth():
    camera = make_camera()
    depth = depths(camera, 0.6, 2.0, 20.0, 40.0)

    points = process(seeing(camera, depth), camera).outputs[Output.POINTS]

    v, u = np.mgrid[: camera.height, : camera.width]
    assert points.dtype == np.float32
    assert points.shape == (camera.height, camera.width, 4)
    assert_allclose(points[..., 2], depth, rtol=1e-4)
    assert_allclose(points[..., 0], (u - camera.cx) / camera.fx * depth, rtol=1e-3, atol=1e-5)
    assert_allclose(points[..., 1], (v - camera.cy) / camera.fy * depth, rtol=1e-3, atol=1e-5)


def test_point_is_three_floats_and_the_bytes_blue_green_red_zero():
    camera = make_camera()
    left, right = images(camera)

    result = StereoPipeline(FixedEngine(5.0)).process(left, right, camera, {Output.POINTS})

    record = np.dtype([("xyz", "<f4", 3), ("b", "u1"), ("g", "u1"), ("r", "u1"), ("zero", "u1")])
    points = np.frombuffer(result.outputs[Output.POINTS].tobytes(), record).reshape(
        camera.height, camera.width
    )
    assert_allclose(points["xyz"][..., 2], camera.fx * camera.baseline / 5.0, rtol=1e-5)
    assert_array_equal(np.stack([points[c] for c in "rgb"], axis=-1), left)
    assert not points["zero"].any()


def test_point_is_nan_in_all_three_where_depth_is_not_finite():
    camera = make_camera()
    depth = depths(camera, 0.3, 2.0, 20.0, 2.0)
    confidence = np.ones_like(depth)
    confidence[:, 48:] = 0

    engine = seeing(camera, depth, confidence)
    points = process(engine, camera, min_depth=0.5, max_depth=10.0).outputs[Output.POINTS][..., :3]

    assert np.isfinite(points[:, 16:32]).all()
    assert np.isnan(np.delete(points, range(16, 32), axis=1)).all()


def test_points_stride_takes_every_nth_row_and_column():
    camera = make_camera(63, 50)
    engine = TrueEngine(camera.disparity(np.linspace(1, 9, 63 * 50).reshape(50, 63)))

    dense = process(engine, camera).outputs[Output.POINTS]
    sparse = process(engine, camera, points_stride=4).outputs[Output.POINTS]

    assert sparse.shape == (13, 16, 4)
    assert_array_equal(sparse.view(np.uint32), dense[::4, ::4].view(np.uint32))


def test_points_stride_leaves_the_images_whole():
    camera = make_camera()

    result = process(FixedEngine(5.0), camera, points_stride=4)

    assert (
        result.outputs[Output.DEPTH].shape
        == result.outputs[Output.DISPARITY].shape
        == (camera.height, camera.width)
    )


def test_free_space_lies_on_the_rays_of_far_pixels_at_the_clearing_range():
    camera = make_camera()
    depth = depths(camera, 0.05, 2.0, 80.0, np.inf)
    confidence = np.ones_like(depth)
    confidence[10], confidence[11], confidence[12] = 0, 0.2, 0.21

    points = process(seeing(camera, depth, confidence), camera, clearing_range=4.0).outputs[
        Output.FREE_SPACE
    ]

    far = (depth > 50) & (confidence > 0.2)
    v, u = np.nonzero(far)
    expected = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, u * 0 + 1], -1)
    assert points.dtype == np.float32
    assert points.shape == (far.sum(), 3)
    assert_allclose(points, 4.0 * expected, rtol=1e-5, atol=1e-6)


def test_noise_of_a_blank_wall_is_hardly_any_free_space():
    camera = StereoCamera(640, 480, 460.0, 460.0, 319.5, 239.5, 319.5, 0.12)
    noise = np.random.default_rng(0).normal(120, 2, (2, 480, 640, 3))
    views = np.clip(np.rint(noise), 0, 255).astype(np.uint8)
    pipeline = StereoPipeline(SgbmEngine(), Settings(max_depth=10.0))

    result = pipeline.process(*views, camera, {Output.DEPTH, Output.FREE_SPACE})

    assert np.isposinf(result.outputs[Output.DEPTH]).sum() > 500
    assert len(result.outputs[Output.FREE_SPACE]) < 50


def test_free_space_follows_the_points_stride():
    camera = make_camera()
    engine = seeing(camera, depths(camera, 2.0, np.inf))

    dense = process(engine, camera).outputs[Output.FREE_SPACE].reshape(camera.height, 32, 3)
    sparse = process(engine, camera, points_stride=4).outputs[Output.FREE_SPACE].reshape(12, 8, 3)

    assert_array_equal(sparse, dense[::4, ::4])


def test_nothing_far_is_no_free_space():
    assert process(FixedEngine(5.0), make_camera()).outputs[Output.FREE_SPACE].shape == (0, 3)
