"""What is computed when, and what is refused."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import FixedEngine, TrueEngine, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import ALL, depths, images, process, seeing

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.rectification import rectification_map
from stereo_depth_ros.scenes.planar import render, yard_scene
from stereo_depth_ros.settings import Settings


@pytest.mark.parametrize("output", list(Output), ids=lambda o: o.value)
def test_only_the_wanted_output_is_made(output):
    result = process(FixedEngine(5.0), make_camera(), {output})

    assert list(result.outputs) == [output]


def test_nothing_metric_is_computed_for_disparity_alone():
    result = process(FixedEngine(5.0), make_camera(), {Output.DISPARITY})

    assert set(result.match.seconds) == {"compare", "fit", "inference", "filters", "disparity"}


def test_every_stage_is_timed():
    result = process(FixedEngine(5.0), make_camera(), ALL)

    stages = {"compare", "fit", "inference", "filters"} | {o.value for o in Output}
    assert set(result.match.seconds) == stages
    assert all(0 <= s < 5 for s in result.match.seconds.values())


def test_images_and_the_answer_of_the_engine_stay_as_they_were():
    camera = make_camera(offset=-3.0)
    engine = seeing(camera, depths(camera, 2.0, np.inf))
    left, right = images(camera)
    before = left.copy(), right.copy(), engine.disparity.copy()

    StereoPipeline(engine, Settings(temporal_gain=0.5)).process(left, right, camera, ALL)

    for array, copy in zip((left, right, engine.disparity), before, strict=True):
        assert_array_equal(array, copy)


@pytest.mark.parametrize("side", ["left", "right"])
def test_image_of_another_size_than_the_camera_is_refused_with_both_sizes(side):
    camera = make_camera(64, 48)
    pair = {"left": images(camera)[0], "right": images(camera)[1]}
    pair[side] = pair[side][:40, :60]

    with pytest.raises(FrameError, match=f"{side} image is 60 x 40 .* 64 x 48"):
        StereoPipeline(FixedEngine(5.0)).process(**pair, camera=camera, outputs=ALL)


class FailingOnce(FixedEngine):
    def infer(self, left, right):
        if not self.pairs:
            self.pairs.append((left, right))
            raise EngineError("out of memory")
        return super().infer(left, right)


def test_frame_after_a_failed_one_is_processed():
    camera = make_camera()
    pipeline = StereoPipeline(FailingOnce(camera.disparity(2.0)), Settings(temporal_gain=0.5))

    with pytest.raises(EngineError, match="out of memory"):
        pipeline.process(*images(camera), camera, ALL)
    result = pipeline.process(*images(camera), camera, ALL)

    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)


def test_raw_images_are_rectified_before_the_engine_sees_them():
    camera = make_camera()
    # The raw principal points lie 5 px right and 3 px below the rectified ones.
    rectified = Calibration.pinhole(64, 48, 103.7, 33.0, 21.0)
    raw_left = replace(rectified, k=Calibration.pinhole(64, 48, 103.7, 38.0, 21.0).k)
    raw_right = replace(rectified, k=Calibration.pinhole(64, 48, 103.7, 33.0, 24.0).k)
    maps = rectification_map(raw_left), rectification_map(raw_right)
    left, right = images(camera)
    engine = FixedEngine(5.0)

    result = StereoPipeline(engine).process(left, right, camera, {Output.POINTS}, rectify=maps)

    ((seen_left, seen_right),) = engine.pairs
    assert_array_equal(seen_left[:, :-5], left[:, 5:])
    assert_array_equal(seen_right[:-3], right[3:])
    assert_array_equal(result.match.image, seen_left)
    assert result.match.seconds["rectify"] > 0


def test_yard_matched_from_images_has_true_depth(yard):
    result = StereoPipeline(SgbmEngine()).process(
        yard.pair.left, yard.pair.right, yard.camera, {Output.DEPTH}
    )

    measured = np.isfinite(result.outputs[Output.DEPTH]) & yard.pair.visible & (yard.pair.depth < 6)
    error = np.abs(result.outputs[Output.DEPTH][measured] / yard.pair.depth[measured] - 1)
    assert measured.mean() > 0.2
    assert np.median(error) < 0.02


def test_scene_truth_survives_a_verged_camera_from_render_to_depth():
    camera = make_camera(96, 72, focal=80.0, offset=-6.4)
    pair = render(yard_scene(), camera)

    result = StereoPipeline(TrueEngine(pair.disparity)).process(
        pair.left, pair.right, camera, {Output.DEPTH}
    )

    in_range = pair.depth <= 50
    assert_allclose(result.outputs[Output.DEPTH][in_range], pair.depth[in_range], rtol=1e-3)
    assert np.isposinf(result.outputs[Output.DEPTH][~in_range]).all()


def test_size_that_was_divided_by_a_binning_twice_is_told():
    half = replace(make_camera(32, 24), size_origin="64 x 48 over a binning of 2 x 2")
    image = np.zeros((48, 64, 3), np.uint8)

    with pytest.raises(FrameError) as caught:
        StereoPipeline(FixedEngine(5.0)).process(image, image, half, ALL)

    assert "left image is 64 x 48 but camera_info says 32 x 24" in str(caught.value)
    assert "64 x 48 over a binning of 2 x 2" in str(caught.value)
    assert "binning_x and binning_y must be 1" in str(caught.value)
