"""Pairs that can only give wrong depth, and what holds no evidence of it."""

import numpy as np
import pytest
from fakes import FixedEngine, TrueEngine
from views import ALL

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.frame_check import FrameError
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_monitor import SAME_VIEW, PairMonitor
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.rectification import RectificationMap
from stereo_depth_ros.scenes.planar import render, yard_scene
from stereo_depth_ros.settings import Settings

CAMERA = StereoCamera(480, 360, 345.6, 345.6, 239.5, 179.5, 239.5, 0.12)


@pytest.fixture(scope="module")
def pair():
    return render(yard_scene(), CAMERA)


def noisy(image, seed, sigma=2):
    noise = np.random.default_rng(seed).normal(0, sigma, image.shape)
    return np.clip(np.rint(image + noise), 0, 255).astype(np.uint8)


def monitored(engine=None):
    return StereoPipeline(engine or SgbmEngine(), monitor=PairMonitor())


def test_right_pair_goes_through_a_monitor_as_without_one(pair):
    views = noisy(pair.left, 1), noisy(pair.right, 2)

    result = monitored().process(*views, CAMERA, ALL)
    bare = StereoPipeline(SgbmEngine()).process(*views, CAMERA, ALL)

    np.testing.assert_array_equal(result.outputs[Output.DEPTH], bare.outputs[Output.DEPTH])
    assert np.isposinf(bare.outputs[Output.DEPTH]).any()
    assert len(bare.outputs[Output.FREE_SPACE]) > 0
    assert result.match.seconds["pair check"] > 0


def test_check_takes_no_time_on_most_frames(pair):
    pipeline = monitored(FixedEngine(5.0))
    pipeline.process(pair.left, pair.right, CAMERA, set())

    result = pipeline.process(pair.left, pair.right, CAMERA, set())

    assert "pair check" not in result.match.seconds


@pytest.mark.parametrize(
    ("mistake", "cause"),
    [
        (lambda left, right: (left, left.copy()), SAME_VIEW),
        (lambda left, right: (noisy(left, 1), noisy(left, 2)), SAME_VIEW),
        (lambda left, right: (right, left), SWAPPED),
        (lambda left, right: (left[::-1, ::-1].copy(), right[::-1, ::-1].copy()), SWAPPED),
        (lambda left, right: (left[:, ::-1].copy(), right[:, ::-1].copy()), SWAPPED),
    ],
    ids=["same", "same_with_noise", "swapped", "upside_down", "mirrored"],
)
def test_wrong_pair_is_refused_before_anything_is_made_of_it(pair, mistake, cause):
    engine = FixedEngine(5.0)
    pipeline = monitored(engine)

    for _ in range(2):
        with pytest.raises(FrameError) as caught:
            pipeline.process(*mistake(pair.left, pair.right), CAMERA, ALL)
        assert str(caught.value) == cause

    assert engine.pairs == []


def test_one_image_is_refused_although_rectification_makes_two_views_of_it(pair):
    def shifted(by):
        y, x = np.mgrid[: CAMERA.height, : CAMERA.width]
        return RectificationMap(
            np.dstack([x + by, y]).astype(np.int16), np.zeros_like(y, np.uint16)
        )

    with pytest.raises(FrameError, match="same view"):
        monitored().process(pair.left, pair.left, CAMERA, ALL, (shifted(0), shifted(20)))


@pytest.mark.parametrize("sigma", [0, 2])
def test_one_view_gives_no_free_space_even_without_a_monitor(pair, sigma):
    views = [noisy(pair.left, seed, sigma) for seed in (1, 2)]

    result = StereoPipeline(SgbmEngine()).process(*views, CAMERA, ALL)

    assert not np.isposinf(result.outputs[Output.DEPTH]).any()
    assert len(result.outputs[Output.FREE_SPACE]) == 0
    unknown = np.isnan(result.outputs[Output.DEPTH])
    assert unknown.mean() > 0.95
    assert (result.outputs[Output.DISPARITY][unknown] == -1).all()
    assert np.isnan(result.outputs[Output.CONFIDENCE][unknown]).all()


def test_one_view_between_two_checks_gives_no_free_space(pair):
    pipeline = monitored()
    assert len(pipeline.process(pair.left, pair.right, CAMERA, ALL).outputs[Output.FREE_SPACE]) > 0

    result = pipeline.process(noisy(pair.left, 1), noisy(pair.left, 2), CAMERA, ALL)

    assert not np.isposinf(result.outputs[Output.DEPTH]).any()
    assert len(result.outputs[Output.FREE_SPACE]) == 0


def test_finite_depth_remains_where_the_views_show_no_parallax(pair):
    depth = np.where(np.arange(480) < 240, 5.0, 200.0) * np.ones((360, 1))
    engine = TrueEngine(CAMERA.disparity(depth))

    result = StereoPipeline(engine).process(pair.left, pair.left, CAMERA, ALL)

    np.testing.assert_allclose(result.outputs[Output.DEPTH][:, :240], 5.0, rtol=1e-3)
    assert np.isnan(result.outputs[Output.DEPTH][:, 240:]).all()


def test_far_landscape_of_two_cameras_is_free_space(pair):
    # All parallax is below a tenth of a pixel, and the sensors have their noise.
    far = [
        type(patch)(
            *(
                tuple(200 * metre for metre in edge)
                for edge in (patch.origin, patch.edge_a, patch.edge_b)
            ),
            patch.tint,
            200 * patch.texture_size,
            patch.seed,
        )
        for patch in yard_scene()
    ]
    landscape = render(far, CAMERA)
    assert landscape.disparity[np.isfinite(landscape.depth)].max() < 0.4

    result = monitored().process(noisy(landscape.left, 1), noisy(landscape.right, 2), CAMERA, ALL)

    assert np.isposinf(result.outputs[Output.DEPTH]).mean() > 0.5
    assert len(result.outputs[Output.FREE_SPACE]) > 0


def test_mended_rig_recovers(pair):
    now = [0.0]
    pipeline = StereoPipeline(FixedEngine(5.0), monitor=PairMonitor(lambda: now[0]))
    with pytest.raises(FrameError):
        pipeline.process(pair.right, pair.left, CAMERA, ALL)
    with pytest.raises(FrameError):
        pipeline.process(pair.left, pair.right, CAMERA, ALL)

    now[0] = 1.1

    assert pipeline.process(pair.left, pair.right, CAMERA, ALL).outputs[Output.DEPTH] is not None


def test_other_calibration_is_judged_anew(pair):
    pipeline = monitored(FixedEngine(5.0))
    pipeline.process(pair.left, pair.right, CAMERA, ALL)
    other = StereoCamera(480, 360, 345.6, 345.6, 239.5, 179.5, 139.5, 0.12)

    with pytest.raises(FrameError, match="swapped"):
        pipeline.process(pair.left, pair.right, other, ALL)


def test_dark_room_is_processed():
    dark = np.zeros((360, 480, 3), np.uint8)

    result = monitored().process(noisy(dark, 1), noisy(dark, 2), CAMERA, ALL)

    # Not refused, and little is made of noise.
    assert np.isnan(result.outputs[Output.DEPTH]).mean() > 0.95


@pytest.mark.parametrize("resolution", ["input", "model"])
def test_black_borders_of_both_views_have_no_depth(pair, resolution):
    left, right = pair.left.copy(), pair.right.copy()
    for view in (left, right):
        view[:, :40] = view[:, -25:] = 0
        view[-30:] = 0
    engine = FixedEngine(5.0, width=480, height=360)

    result = StereoPipeline(engine, Settings(output_resolution=resolution)).process(
        left, right, CAMERA, {Output.DEPTH}
    )

    border = np.zeros((360, 480), bool)
    border[:, :40] = border[:, -25:] = border[-30:] = True
    assert np.isnan(result.outputs[Output.DEPTH][border]).all()
    assert (result.match.confidence[border] == 0).all()
    assert np.isfinite(result.outputs[Output.DEPTH][~border]).all()


def test_pair_of_nothing_but_black_has_no_depth():
    black = np.zeros((360, 480, 3), np.uint8)

    result = StereoPipeline(FixedEngine(5.0)).process(black, black, CAMERA, {Output.DEPTH})

    assert np.isnan(result.outputs[Output.DEPTH]).all()
