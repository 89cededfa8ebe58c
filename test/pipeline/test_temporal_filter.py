"""The filter over time."""

from dataclasses import replace

import numpy as np
from fakes import EncodedEngine, encode, make_camera
from numpy.testing import assert_allclose, assert_array_equal

from stereo_depth_ros.engines import Provenance
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings


def process(pipeline, left, camera=None):
    """Process an encoded left image beside a grey right one; returns the disparity."""
    right = np.full_like(left, 50)
    return pipeline.process(left, right, camera or make_camera(), {Output.DISPARITY}).outputs[
        Output.DISPARITY
    ]


def frames(settings, *lefts):
    """Process encoded left images in turn; returns the last disparity."""
    pipeline = StereoPipeline(EncodedEngine(), settings)
    return [process(pipeline, left) for left in lefts][-1]


def test_still_scene_is_smoothed_over_time():
    flat = np.full((48, 64), 4.0)

    disparity = frames(Settings(temporal_gain=0.25), encode(flat), encode(flat + 0.5))

    assert_allclose(disparity, 4.125)


def test_smoothing_accumulates_over_frames():
    flat = np.full((48, 64), 4.0)

    disparity = frames(
        Settings(temporal_gain=0.5), encode(flat), encode(flat + 0.5), encode(flat + 0.5)
    )

    assert_allclose(disparity, 4.375)


def test_moved_object_takes_its_new_disparity_at_once():
    before, after = np.full((48, 64), 4.0), np.full((48, 64), 4.5)
    after[10:20, 10:20] = 9.0

    disparity = frames(Settings(temporal_gain=0.5), encode(before), encode(after))

    moved = after == 9.0
    assert_allclose(disparity[moved], 9.0)
    assert_allclose(disparity[~moved], 4.25)


def test_changed_image_takes_its_new_disparity_at_once():
    before, after = encode(np.full((48, 64), 4.0)), encode(np.full((48, 64), 4.5))
    after[10:20, 10:20, 2] = 255

    disparity = frames(Settings(temporal_gain=0.5), before, after)

    changed = after[..., 2] == 255
    assert_allclose(disparity[changed], 4.5)
    assert_allclose(disparity[~changed], 4.25)


def test_temporal_filter_is_off_by_default():
    flat = np.full((48, 64), 4.0)

    assert_array_equal(frames(Settings(), encode(flat), encode(flat + 0.5)), flat + 0.5)


def test_other_image_size_starts_the_temporal_filter_anew():
    pipeline = StereoPipeline(EncodedEngine(), Settings(temporal_gain=0.5))
    first, second = encode(np.full((48, 64), 4.0)), encode(np.full((24, 32), 4.5))

    pipeline.process(first, first, make_camera(), set())
    result = pipeline.process(second, second, make_camera(32, 24), {Output.DISPARITY})

    assert_array_equal(result.outputs[Output.DISPARITY], np.full((24, 32), 4.5))


def test_temporal_filter_forgets_while_it_is_off():
    pipeline = StereoPipeline(EncodedEngine(), Settings(temporal_gain=0.5))
    camera = make_camera()
    old, new = encode(np.full((48, 64), 4.0)), encode(np.full((48, 64), 4.5))

    pipeline.process(old, old, camera, set())
    pipeline.settings = Settings(temporal_gain=1.0)
    pipeline.process(new, new, camera, set())
    pipeline.settings = Settings(temporal_gain=0.5)
    result = pipeline.process(new, new, camera, set())

    assert_array_equal(result.match.disparity, np.full((48, 64), 4.5))


def test_guess_is_not_blended_into_what_is_known():
    # So low a confidence that both frames are of nearly one grey
    guess, known = encode(np.full((48, 64), 10.0), 0.0), encode(np.full((48, 64), 10.75), 0.016)

    disparity = frames(Settings(temporal_gain=0.1), guess, known)

    assert_array_equal(disparity, np.full((48, 64), 10.75))


def test_what_the_filters_removed_is_not_blended_into_later_frames():
    before, after = np.full((48, 64), 10.0), np.full((48, 64), 10.0)
    before[20, 30], after[20, 30] = 12.0, 12.5
    after[18:23, 28:33] = 12.5
    pipeline = StereoPipeline(EncodedEngine(), Settings(temporal_gain=0.5, edge_filter=1.0))

    first = process(pipeline, encode(before))
    second = process(pipeline, encode(after))

    assert first[20, 30] == -1
    assert second[20, 30] == 12.5


def test_known_depth_survives_a_guess_between_two_frames():
    known, guess = encode(np.full((48, 64), 4.0)), encode(np.full((48, 64), 4.5), 0.0)

    disparity = frames(Settings(temporal_gain=0.5), known, guess, known)

    assert_array_equal(disparity, np.full((48, 64), 4.0))


def forgets(change, camera=None):
    """Whether a frame after ``change`` is as the first, between two frames that would blend."""
    pipeline = StereoPipeline(EncodedEngine(), Settings(temporal_gain=0.5))
    process(pipeline, encode(np.full((48, 64), 4.0)))
    change(pipeline)
    disparity = process(pipeline, encode(np.full((48, 64), 4.5)), camera)
    assert np.ptp(disparity) == 0
    return disparity[0, 0] == 4.5


def test_memory_ends_with_the_engine():
    def swap(pipeline):
        pipeline.engine.spec = replace(pipeline.engine.spec, provenance=Provenance("another"))

    assert forgets(swap)
    assert not forgets(lambda pipeline: None)


def test_memory_ends_with_the_geometry():
    assert forgets(lambda pipeline: None, camera=make_camera(focal=104.0))
    assert not forgets(lambda pipeline: None, camera=make_camera())


def test_memory_ends_with_the_stream():
    assert forgets(lambda pipeline: pipeline.restart())
