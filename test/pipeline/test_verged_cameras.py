"""Cameras whose principal points differ."""

import numpy as np
import pytest
from fakes import TrueEngine, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import depths, images, process, seeing

from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.scenes.planar import plane_scene, render

OFFSETS = pytest.mark.parametrize("offset", [-7.3, -8.0, 0.0, 5.6])


@OFFSETS
def test_verged_cameras_give_true_depth_and_sky_at_infinity(offset):
    camera = make_camera(offset=offset)
    depth = depths(camera, 0.6, 2.0, 20.0, np.inf)

    result = process(seeing(camera, depth), camera)

    assert_allclose(result.outputs[Output.DEPTH][:, :48], depth[:, :48], rtol=1e-3)
    assert np.isposinf(result.outputs[Output.DEPTH][:, 48:]).all()


@OFFSETS
def test_focal_times_baseline_over_disparity_is_depth_for_verged_cameras(offset):
    camera = make_camera(offset=offset)
    depth = depths(camera, 0.6, 2.0, 20.0, np.inf)

    result = process(seeing(camera, depth), camera, {Output.DISPARITY})

    finite = result.outputs[Output.DISPARITY][:, :48]
    assert_allclose(camera.fx * camera.baseline / finite, depth[:, :48], rtol=1e-3)
    assert_allclose(result.outputs[Output.DISPARITY][:, 48:], 0.0, atol=1e-5)
    assert result.outputs[Output.DISPARITY].min() >= 0


def test_disparity_below_that_of_infinity_is_infinitely_far():
    camera = make_camera(offset=5.6)

    result = process(TrueEngine(np.full((48, 64), 3.0)), camera)

    assert np.isposinf(result.outputs[Output.DEPTH]).all()
    assert_array_equal(result.outputs[Output.DISPARITY], np.zeros((48, 64)))


@pytest.mark.parametrize(("offset", "added"), [(-7.3, 8), (-8.0, 8), (0.0, 0), (5.6, 0)])
def test_engine_sees_a_pair_extended_by_the_verge(offset, added):
    camera = make_camera(offset=offset)
    engine = seeing(camera, depths(camera, 2.0))
    left, right = images(camera)

    StereoPipeline(engine).process(left, right, camera, {Output.DEPTH})

    ((seen_left, seen_right),) = engine.pairs
    black = np.zeros((camera.height, added, 3), np.uint8)
    assert_array_equal(seen_left, np.hstack([black, left]))
    assert_array_equal(seen_right, np.hstack([right, black]))


@pytest.mark.parametrize("offset", [-12.4, 9.2])
def test_matching_a_rendered_verged_pair_gives_true_depth(offset):
    camera = make_camera(240, 180, focal=260.0, baseline=0.2, offset=offset)
    pair = render(plane_scene(2.0), camera)

    result = StereoPipeline(SgbmEngine()).process(pair.left, pair.right, camera, {Output.DEPTH})

    assert np.nanmedian(result.outputs[Output.DEPTH]) == pytest.approx(2.0, rel=0.015)
