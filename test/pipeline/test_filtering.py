"""Filters of one frame."""

from dataclasses import replace

import numpy as np
from fakes import EncodedEngine, FixedEngine, TrueEngine, encode, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import depths, images, process, seeing

from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings


def test_default_output_is_unfiltered_but_for_the_limits():
    camera = make_camera()
    random = np.random.default_rng(3)
    disparity = random.uniform(0, 60, (48, 64)).astype(np.float32)
    confidence = random.uniform(0.001, 1, (48, 64)).astype(np.float32)

    result = process(TrueEngine(disparity, confidence), camera, max_depth=10.0)

    assert result.match.valid.all()
    assert_array_equal(result.outputs[Output.DISPARITY], disparity)
    assert_array_equal(result.outputs[Output.CONFIDENCE], confidence)
    too_far = disparity < camera.fx * camera.baseline / 10
    assert too_far.sum() > 10
    assert_array_equal(np.isposinf(result.outputs[Output.DEPTH]), too_far)


def test_confidence_threshold_removes_what_is_less_sure():
    camera = make_camera()
    confidence = depths(camera, 0.1, 0.3, 0.5, 0.9)

    result = process(
        seeing(camera, depths(camera, 2.0), confidence), camera, confidence_threshold=0.4
    )

    assert_array_equal(np.isnan(result.outputs[Output.DEPTH]), confidence < 0.4)


def test_edge_filter_removes_the_pixels_between_two_surfaces():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    disparity[:, 30] = 8.0
    disparity[:, 31:] = 12.0

    result = process(TrueEngine(disparity), camera, edge_filter=1.0)

    assert np.isnan(result.outputs[Output.DEPTH][:, 30]).all()
    assert np.isfinite(np.delete(result.outputs[Output.DEPTH], 30, axis=1)).all()


def test_speckle_filter_removes_small_regions():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    disparity[10:12, 20:22] = 12.0
    disparity[20:30, 20:30] = 12.0

    depth = process(TrueEngine(disparity), camera, speckle_size=4).outputs[Output.DEPTH]

    removed = np.zeros((48, 64), bool)
    removed[10:12, 20:22] = True
    assert_array_equal(np.isnan(depth), removed)


def test_speckle_filter_does_not_bridge_unknown_pixels():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    confidence = np.ones((48, 64), np.float32)
    confidence[9:13, 19:23] = 0
    confidence[10:12, 20:22] = 1

    valid = process(TrueEngine(disparity, confidence), camera, speckle_size=4).match.valid

    assert not valid[9:13, 19:23].any()
    assert valid.sum() == valid.size - 16


def test_outside_the_roi_is_unknown():
    camera = make_camera()

    result = process(FixedEngine(5.0), camera, roi=(10.0, 5.0, 40.0, 5.0, 40.0, 30.0, 10.0, 30.0))

    inside = np.zeros((48, 64), bool)
    inside[5:31, 10:41] = True
    assert_array_equal(np.isfinite(result.outputs[Output.DEPTH]), inside)
    assert_array_equal(result.outputs[Output.DISPARITY] == -1, ~inside)


def occluder_pair(added=0):
    """A foreground of 10 px at left columns 20..29 before a background of 2 px.

    ``added`` is how many of these px come from columns that the pipeline adds.
    """
    left = np.full((48, 64), 2.0)
    left[:, 20:30] = 10.0
    right = np.full((48, 64), 2.0)
    right[:, 10 + added : 20 + added] = 10.0
    return encode(left), encode(right)


def test_left_right_check_removes_the_shadow_of_an_occluder():
    camera = make_camera()

    result = StereoPipeline(EncodedEngine(), Settings(lr_check=True)).process(
        *occluder_pair(), camera, {Output.DEPTH}
    )

    shadow = np.zeros((48, 64), bool)
    shadow[:, 12:20] = True
    shadow[:, :2] = True  # matches outside the right view
    assert_array_equal(np.isnan(result.outputs[Output.DEPTH]), shadow)


def test_the_right_view_is_matched_without_copying_the_images():
    seen = []

    class Watched(EncodedEngine):
        def infer(self, left, right):
            seen.append((left, right))
            return super().infer(left, right)

    image = encode(np.full((48, 64), 5.0))
    StereoPipeline(Watched(), Settings(lr_check=True)).process(
        image, image.copy(), make_camera(), {Output.DEPTH}
    )

    (left, right), (mirrored_right, mirrored_left) = seen
    assert np.shares_memory(mirrored_right, right)
    assert np.shares_memory(mirrored_left, left)
    assert_array_equal(mirrored_right, right[:, ::-1])


def test_left_right_check_removes_the_shadow_for_verged_cameras_too():
    camera = make_camera(offset=-1.5)

    result = StereoPipeline(EncodedEngine(), Settings(lr_check=True)).process(
        *occluder_pair(added=2), camera, {Output.DISPARITY}
    )

    # In the image itself the disparities are 0 and 8.
    shadow = np.zeros((48, 64), bool)
    shadow[:, 12:20] = True
    assert_array_equal(result.outputs[Output.DISPARITY] == -1, shadow)
    assert_allclose(result.outputs[Output.DISPARITY][:, 20:30], 8 + 1.5)
    assert_allclose(result.outputs[Output.DISPARITY][:, 30:], 0 + 1.5)


def test_left_right_check_matches_the_exchanged_mirrored_pair_as_well():
    camera = make_camera()
    engine = FixedEngine(5.0)
    left, right = images(camera)

    StereoPipeline(engine, Settings(lr_check=True)).process(left, right, camera, {Output.DEPTH})

    assert len(engine.pairs) == 2
    assert_array_equal(engine.pairs[1][0], right[:, ::-1])
    assert_array_equal(engine.pairs[1][1], left[:, ::-1])


def test_without_left_right_check_the_engine_runs_once():
    engine = FixedEngine(5.0)

    process(engine, make_camera())

    assert len(engine.pairs) == 1


def test_left_right_tolerance_is_in_px_of_the_output():
    camera = make_camera()
    left, right = encode(np.full((48, 64), 4.0)), encode(np.full((48, 64), 4.75))
    pipeline = StereoPipeline(EncodedEngine(32, 24), Settings(lr_check=True, lr_tolerance=1.0))

    # 0.75 px of the engine are 1.5 px of the image.
    at_input = pipeline.process(left, right, camera, set())
    pipeline.settings = replace(pipeline.settings, output_resolution="model")
    at_model = pipeline.process(left, right, camera, set())

    assert not at_input.match.valid.any()
    assert at_model.match.valid[:, 4:].all()


def test_settings_may_change_between_frames():
    camera = make_camera()
    pipeline = StereoPipeline(FixedEngine(camera.disparity(2.0)))

    before = pipeline.process(*images(camera), camera, {Output.DEPTH}).outputs[Output.DEPTH]
    pipeline.settings = Settings(max_depth=1.5)
    after = pipeline.process(*images(camera), camera, {Output.DEPTH}).outputs[Output.DEPTH]

    assert_allclose(before, 2.0, atol=1e-3)
    assert np.isposinf(after).all()
