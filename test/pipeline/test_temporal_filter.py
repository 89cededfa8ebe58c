"""The filter over time."""

import numpy as np
from fakes import EncodedEngine, encode, make_camera
from numpy.testing import assert_allclose, assert_array_equal

from stereo_depth_ros.pipeline import Output, StereoPipeline
from stereo_depth_ros.settings import Settings


def frames(settings, *lefts, camera=None):
    """Process encoded left images in turn; returns the last result."""
    camera = camera or make_camera()
    pipeline = StereoPipeline(EncodedEngine(), settings)
    for left in lefts:
        result = pipeline.process(left, left, camera, {Output.DISPARITY})
    return result.disparity


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

    assert_array_equal(result.disparity, np.full((24, 32), 4.5))


def test_temporal_filter_forgets_while_it_is_off():
    pipeline = StereoPipeline(EncodedEngine(), Settings(temporal_gain=0.5))
    camera = make_camera()
    old, new = encode(np.full((48, 64), 4.0)), encode(np.full((48, 64), 4.5))

    pipeline.process(old, old, camera, set())
    pipeline.settings = Settings(temporal_gain=1.0)
    pipeline.process(new, new, camera, set())
    pipeline.settings = Settings(temporal_gain=0.5)
    result = pipeline.process(new, new, camera, set())

    assert_array_equal(result.matched, np.full((48, 64), 4.5))
