"""What depth, disparity and confidence say, value by value."""

import numpy as np
import pytest
from fakes import FixedEngine, TrueEngine, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import depths, process, seeing

from stereo_depth_ros.outputs import Output, to_millimetres
from stereo_depth_ros.pipeline import StereoPipeline


def test_plane_at_two_metres_is_two_metres_everywhere():
    camera = make_camera()
    engine = FixedEngine(camera.fx * camera.baseline / 2.0)

    result = process(engine, camera)

    assert result.outputs[Output.DEPTH].dtype == np.float32
    assert result.outputs[Output.DEPTH].shape == (camera.height, camera.width)
    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)


def test_rendered_truth_comes_out_as_depth(yard):
    engine = TrueEngine(yard.pair.disparity)

    result = StereoPipeline(engine).process(
        yard.pair.left, yard.pair.right, yard.camera, {Output.DEPTH}
    )

    in_range = yard.pair.depth <= 50
    assert in_range.mean() > 0.5
    assert (~in_range).mean() > 0.1
    assert_allclose(result.outputs[Output.DEPTH][in_range], yard.pair.depth[in_range], rtol=1e-4)
    assert np.isposinf(result.outputs[Output.DEPTH][~in_range]).all()


@pytest.fixture
def ranged():
    """Too near, in range, too far and infinitely far side by side; the upper rows are unsure."""
    camera = make_camera()
    depth = depths(camera, 0.3, 2.0, 20.0, np.inf)
    confidence = np.ones_like(depth)
    confidence[:24] = 0
    return process(seeing(camera, depth, confidence), camera, min_depth=0.5, max_depth=10.0)


def test_far_is_plus_inf_near_is_minus_inf_unsure_is_nan(ranged):
    near, fine, far, infinite = np.split(ranged.outputs[Output.DEPTH][24:], 4, axis=1)
    assert np.isneginf(near).all()
    assert_allclose(fine, 2.0, atol=1e-3)
    assert np.isposinf(far).all()
    assert np.isposinf(infinite).all()
    assert np.isnan(ranged.outputs[Output.DEPTH][:24]).all()


def test_limits_themselves_are_in_range():
    camera = make_camera(focal=100.0, baseline=0.1)
    engine = seeing(camera, depths(camera, 0.5, 10.0))

    depth = process(engine, camera, min_depth=0.5, max_depth=10.0).outputs[Output.DEPTH]

    assert np.isfinite(depth).all()


def test_depth_mm_is_zero_without_a_measurement_in_range(ranged):
    expected = np.zeros(ranged.outputs[Output.DEPTH].shape, np.uint16)
    expected[24:, 16:32] = 2000
    assert ranged.outputs[Output.DEPTH_MM].dtype == np.uint16
    assert_array_equal(ranged.outputs[Output.DEPTH_MM], expected)


def test_millimetres_are_rounded_to_the_nearest():
    depth = np.array([1.2344, 1.2346, 0.0006, 0.0004], np.float32)

    assert_array_equal(to_millimetres(depth), [1234, 1235, 1, 0])


def test_millimetres_beyond_uint16_are_no_measurement():
    depth = np.array([65.535, 65.536, 70.0, 131.072, 1e30], np.float32)

    assert_array_equal(to_millimetres(depth), [65535, 0, 0, 0, 0])


def test_millimetres_of_no_depth_are_zero():
    depth = np.array([np.nan, np.inf, -np.inf], np.float32)

    assert_array_equal(to_millimetres(depth), [0, 0, 0])


def test_depth_beyond_uint16_millimetres_is_depth_but_no_millimetres():
    camera = make_camera()

    result = process(seeing(camera, depths(camera, 2.0, 80.0)), camera, max_depth=100.0)

    assert_allclose(result.outputs[Output.DEPTH][:, 32:], 80.0, rtol=1e-4)
    assert_array_equal(np.unique(result.outputs[Output.DEPTH_MM][:, :32]), [2000])
    assert_array_equal(np.unique(result.outputs[Output.DEPTH_MM][:, 32:]), [0])


def test_disparity_is_minus_one_where_unknown():
    camera = make_camera()
    depth = depths(camera, 2.0, 4.0)
    confidence = np.where(depth == 2.0, np.float32(1), np.float32(0))

    result = process(seeing(camera, depth, confidence), camera)

    assert result.outputs[Output.DISPARITY].dtype == np.float32
    assert_allclose(
        result.outputs[Output.DISPARITY][:, :32], camera.fx * camera.baseline / 2.0, rtol=1e-5
    )
    assert_array_equal(np.unique(result.outputs[Output.DISPARITY][:, 32:]), [-1.0])


def test_confidence_is_nan_where_unknown():
    camera = make_camera()
    confidence = depths(camera, 0.0, 0.25, 0.5, 0.75)

    result = process(seeing(camera, depths(camera, 2.0), confidence), camera)

    assert result.outputs[Output.CONFIDENCE].dtype == np.float32
    assert np.isnan(result.outputs[Output.CONFIDENCE][:, :16]).all()
    assert_allclose(result.outputs[Output.CONFIDENCE][:, 16:], confidence[:, 16:])


def test_disparity_that_is_not_finite_is_unknown():
    camera = make_camera()
    disparity = camera.disparity(depths(camera, 2.0))
    disparity[5, 7] = np.nan

    result = process(TrueEngine(disparity), camera)

    assert np.isnan(result.outputs[Output.DEPTH][5, 7])
    assert np.isnan(result.outputs[Output.DEPTH]).sum() == 1
    assert result.outputs[Output.DISPARITY][5, 7] == -1.0
