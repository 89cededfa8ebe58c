from dataclasses import replace

import numpy as np
import pytest
from fakes import EncodedEngine, FixedEngine, TrueEngine, encode, make_camera
from numpy.testing import assert_allclose, assert_array_equal

from stereo_depth_ros.calibration import Calibration
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.pipeline import FrameError, Output, StereoPipeline, to_millimetres
from stereo_depth_ros.rectification import rectification_map
from stereo_depth_ros.scenes.planar import plane_scene, render, yard_scene
from stereo_depth_ros.settings import Settings

ALL = set(Output)


def images(camera, seed=0):
    random = np.random.default_rng(seed)
    shape = (2, camera.height, camera.width, 3)
    return random.integers(0, 256, shape, dtype=np.uint8)


def process(engine, camera, wanted=ALL, **settings):
    return StereoPipeline(engine, Settings(**settings)).process(*images(camera), camera, wanted)


def depths(camera, *metres):
    """Depth of the image in equal vertical stripes of ``metres``."""
    return np.repeat(
        np.resize(np.repeat(metres, camera.width // len(metres)), (1, camera.width)),
        camera.height,
        axis=0,
    ).astype(np.float32)


def seeing(camera, depth, confidence=1.0):
    return TrueEngine(camera.disparity(depth), confidence)


# Values


def test_plane_at_two_metres_is_two_metres_everywhere():
    camera = make_camera()
    engine = FixedEngine(camera.fx * camera.baseline / 2.0)

    result = process(engine, camera)

    assert result.depth.dtype == np.float32
    assert result.depth.shape == (camera.height, camera.width)
    assert_allclose(result.depth, 2.0, atol=1e-3)


def test_rendered_truth_comes_out_as_depth(yard):
    engine = TrueEngine(yard.pair.disparity)

    result = StereoPipeline(engine).process(
        yard.pair.left, yard.pair.right, yard.camera, {Output.DEPTH}
    )

    in_range = yard.pair.depth <= 50
    assert in_range.mean() > 0.5
    assert (~in_range).mean() > 0.1
    assert_allclose(result.depth[in_range], yard.pair.depth[in_range], rtol=1e-4)
    assert np.isposinf(result.depth[~in_range]).all()


def test_far_is_plus_inf_near_is_minus_inf_unsure_is_nan():
    camera = make_camera()
    depth = depths(camera, 0.3, 2.0, 20.0, np.inf)
    confidence = np.ones_like(depth)
    confidence[:24] = 0

    result = process(seeing(camera, depth, confidence), camera, min_depth=0.5, max_depth=10.0)

    near, fine, far, infinite = np.split(result.depth[24:], 4, axis=1)
    assert np.isneginf(near).all()
    assert_allclose(fine, 2.0, atol=1e-3)
    assert np.isposinf(far).all()
    assert np.isposinf(infinite).all()
    assert np.isnan(result.depth[:24]).all()


def test_limits_themselves_are_in_range():
    camera = make_camera(focal=100.0, baseline=0.1)
    engine = seeing(camera, depths(camera, 0.5, 10.0))

    depth = process(engine, camera, min_depth=0.5, max_depth=10.0).depth

    assert np.isfinite(depth).all()


def test_depth_mm_is_zero_without_a_measurement_in_range():
    camera = make_camera()
    depth = depths(camera, 0.3, 2.0, 20.0, np.inf)
    confidence = np.ones_like(depth)
    confidence[:24] = 0

    result = process(seeing(camera, depth, confidence), camera, min_depth=0.5, max_depth=10.0)

    expected = np.zeros(depth.shape, np.uint16)
    expected[24:, 16:32] = 2000
    assert result.depth_mm.dtype == np.uint16
    assert_array_equal(result.depth_mm, expected)


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

    assert_allclose(result.depth[:, 32:], 80.0, rtol=1e-4)
    assert_array_equal(np.unique(result.depth_mm[:, :32]), [2000])
    assert_array_equal(np.unique(result.depth_mm[:, 32:]), [0])


def test_disparity_is_minus_one_where_unknown():
    camera = make_camera()
    depth = depths(camera, 2.0, 4.0)
    confidence = np.where(depth == 2.0, np.float32(1), np.float32(0))

    result = process(seeing(camera, depth, confidence), camera)

    assert result.disparity.dtype == np.float32
    assert_allclose(result.disparity[:, :32], camera.fx * camera.baseline / 2.0, rtol=1e-5)
    assert_array_equal(np.unique(result.disparity[:, 32:]), [-1.0])


def test_confidence_is_nan_where_unknown():
    camera = make_camera()
    confidence = depths(camera, 0.0, 0.25, 0.5, 0.75)

    result = process(seeing(camera, depths(camera, 2.0), confidence), camera)

    assert result.confidence.dtype == np.float32
    assert np.isnan(result.confidence[:, :16]).all()
    assert_allclose(result.confidence[:, 16:], confidence[:, 16:])


def test_disparity_that_is_not_finite_is_unknown():
    camera = make_camera()
    disparity = camera.disparity(depths(camera, 2.0))
    disparity[5, 7] = np.nan

    result = process(TrueEngine(disparity), camera)

    assert np.isnan(result.depth[5, 7])
    assert np.isnan(result.depth).sum() == 1
    assert result.disparity[5, 7] == -1.0


# Verged cameras: the principal points differ

OFFSETS = pytest.mark.parametrize("offset", [-7.3, -8.0, 0.0, 5.6])


@OFFSETS
def test_verged_cameras_give_true_depth_and_sky_at_infinity(offset):
    camera = make_camera(offset=offset)
    depth = depths(camera, 0.6, 2.0, 20.0, np.inf)

    result = process(seeing(camera, depth), camera)

    assert_allclose(result.depth[:, :48], depth[:, :48], rtol=1e-3)
    assert np.isposinf(result.depth[:, 48:]).all()


@OFFSETS
def test_focal_times_baseline_over_disparity_is_depth_for_verged_cameras(offset):
    camera = make_camera(offset=offset)
    depth = depths(camera, 0.6, 2.0, 20.0, np.inf)

    result = process(seeing(camera, depth), camera, {Output.DISPARITY})

    finite = result.disparity[:, :48]
    assert_allclose(camera.fx * camera.baseline / finite, depth[:, :48], rtol=1e-3)
    assert_allclose(result.disparity[:, 48:], 0.0, atol=1e-5)
    assert result.disparity.min() >= 0


def test_disparity_below_that_of_infinity_is_infinitely_far():
    camera = make_camera(offset=5.6)

    result = process(TrueEngine(np.full((48, 64), 3.0)), camera)

    assert np.isposinf(result.depth).all()
    assert_array_equal(result.disparity, np.zeros((48, 64)))


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

    assert np.nanmedian(result.depth) == pytest.approx(2.0, rel=0.015)


# Points


def test_points_are_rays_times_depth():
    camera = make_camera()
    depth = depths(camera, 0.6, 2.0, 20.0, 40.0)

    points = process(seeing(camera, depth), camera).points

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
    points = np.frombuffer(result.points.tobytes(), record).reshape(camera.height, camera.width)
    assert_allclose(points["xyz"][..., 2], camera.fx * camera.baseline / 5.0, rtol=1e-5)
    assert_array_equal(np.stack([points[c] for c in "rgb"], axis=-1), left)
    assert not points["zero"].any()


def test_point_is_nan_in_all_three_where_depth_is_not_finite():
    camera = make_camera()
    depth = depths(camera, 0.3, 2.0, 20.0, 2.0)
    confidence = np.ones_like(depth)
    confidence[:, 48:] = 0

    engine = seeing(camera, depth, confidence)
    points = process(engine, camera, min_depth=0.5, max_depth=10.0).points[..., :3]

    assert np.isfinite(points[:, 16:32]).all()
    assert np.isnan(np.delete(points, range(16, 32), axis=1)).all()


def test_points_stride_takes_every_nth_row_and_column():
    camera = make_camera(63, 50)
    engine = TrueEngine(camera.disparity(np.linspace(1, 9, 63 * 50).reshape(50, 63)))

    dense = process(engine, camera).points
    sparse = process(engine, camera, points_stride=4).points

    assert sparse.shape == (13, 16, 4)
    assert_array_equal(sparse.view(np.uint32), dense[::4, ::4].view(np.uint32))


def test_points_stride_leaves_the_images_whole():
    camera = make_camera()

    result = process(FixedEngine(5.0), camera, points_stride=4)

    assert result.depth.shape == result.disparity.shape == (camera.height, camera.width)


def test_free_space_lies_on_the_rays_of_far_pixels_at_the_clearing_range():
    camera = make_camera()
    depth = depths(camera, 0.05, 2.0, 80.0, np.inf)
    confidence = np.ones_like(depth)
    confidence[10] = 0

    points = process(seeing(camera, depth, confidence), camera, clearing_range=4.0).free_space

    far = (depth > 50) & (confidence > 0)
    v, u = np.nonzero(far)
    expected = np.stack([(u - camera.cx) / camera.fx, (v - camera.cy) / camera.fy, u * 0 + 1], -1)
    assert points.dtype == np.float32
    assert points.shape == (far.sum(), 3)
    assert_allclose(points, 4.0 * expected, rtol=1e-5, atol=1e-6)


def test_free_space_follows_the_points_stride():
    camera = make_camera()
    engine = seeing(camera, depths(camera, 2.0, np.inf))

    dense = process(engine, camera).free_space.reshape(camera.height, 32, 3)
    sparse = process(engine, camera, points_stride=4).free_space.reshape(12, 8, 3)

    assert_array_equal(sparse, dense[::4, ::4])


def test_nothing_far_is_no_free_space():
    assert process(FixedEngine(5.0), make_camera()).free_space.shape == (0, 3)


# What is computed


@pytest.mark.parametrize("output", list(Output), ids=lambda o: o.value)
def test_only_the_wanted_output_is_made(output):
    result = process(FixedEngine(5.0), make_camera(), {output})

    made = [o for o in Output if getattr(result, o.value) is not None]
    assert made == [output]


def test_nothing_metric_is_computed_for_disparity_alone():
    result = process(FixedEngine(5.0), make_camera(), {Output.DISPARITY})

    assert set(result.seconds) == {"fit", "inference", "filters", "disparity"}


def test_every_stage_is_timed():
    result = process(FixedEngine(5.0), make_camera(), ALL)

    stages = {"fit", "inference", "filters"} | {o.value for o in Output}
    assert set(result.seconds) == stages
    assert all(0 <= s < 5 for s in result.seconds.values())


def test_images_and_the_answer_of_the_engine_stay_as_they_were():
    camera = make_camera(offset=-3.0)
    engine = seeing(camera, depths(camera, 2.0, np.inf))
    left, right = images(camera)
    before = left.copy(), right.copy(), engine.disparity.copy()

    StereoPipeline(engine, Settings(temporal_gain=0.5)).process(left, right, camera, ALL)

    for array, copy in zip((left, right, engine.disparity), before, strict=True):
        assert_array_equal(array, copy)


# Engines of a fixed size

# Engine sizes for 64 x 48 images with the scale that fits: smaller, larger, wider and taller.
SIZES = pytest.mark.parametrize(
    ("width", "height", "scale"),
    [(32, 24, 0.5), (64, 48, 1.0), (128, 96, 2.0), (64, 24, 0.5), (48, 96, 0.75), (40, 40, 0.625)],
)


@SIZES
@pytest.mark.parametrize("resolution", ["input", "model"])
def test_plane_depth_is_right_whatever_the_engines_size(width, height, scale, resolution):
    camera = make_camera()
    engine = FixedEngine(camera.disparity(2.0) * scale, width, height)

    result = process(engine, camera, output_resolution=resolution)

    assert_allclose(result.depth, 2.0, atol=1e-3)


def test_plane_depth_is_right_for_odd_sizes():
    camera = make_camera(161, 123)
    # 61 of 64 rows are used; disparity scales with the columns, 80 for 161.
    engine = FixedEngine(camera.disparity(2.0) * 80 / 161, 80, 64)

    for resolution, shape in (("input", (123, 161)), ("model", (61, 80))):
        depth = process(engine, camera, output_resolution=resolution).depth
        assert depth.shape == shape
        assert_allclose(depth, 2.0, atol=1e-3)


@SIZES
def test_outputs_are_at_the_size_of_the_images(width, height, scale):
    camera = make_camera()

    result = process(FixedEngine(5.0, width, height), camera)

    assert result.camera == camera
    for output in set(Output) - {Output.FREE_SPACE}:
        assert getattr(result, output.value).shape[:2] == (camera.height, camera.width)


@SIZES
def test_model_resolution_gives_the_points_of_the_engines_pixels(width, height, scale):
    camera = make_camera()
    engine = FixedEngine(camera.disparity(2.0) * scale, width, height)

    result = process(engine, camera, output_resolution="model")

    shape = round(camera.height * scale), round(camera.width * scale)
    assert (result.camera.height, result.camera.width) == shape
    assert result.points.shape == (*shape, 4)
    assert result.image.shape == (*shape, 3)
    assert result.camera.fx == pytest.approx(camera.fx * scale)
    v, u = np.mgrid[: shape[0], : shape[1]]
    # Where the centre of an engine pixel lies in the image
    x, y = (u + 0.5) / scale - 0.5, (v + 0.5) / scale - 0.5
    assert_allclose(result.points[..., 0], 2 * (x - camera.cx) / camera.fx, atol=1e-3)
    assert_allclose(result.points[..., 1], 2 * (y - camera.cy) / camera.fy, atol=1e-3)
    assert_allclose(result.points[..., 2], 2.0, atol=1e-3)


def test_model_resolution_of_verged_cameras_gives_the_points_of_the_engines_pixels():
    camera = make_camera(61, 48, offset=-2.6)
    # Three columns are added, so 64 x 48 become 32 x 24.
    engine = FixedEngine((camera.disparity(2.0) + 3) * 0.5, 32, 24)

    result = process(engine, camera, output_resolution="model")

    height, width = result.depth.shape
    assert (height, width) == (24, 30)
    assert_allclose(result.depth, 2.0, atol=1e-3)
    assert_allclose(result.camera.fx * result.camera.baseline / result.disparity, 2.0, atol=1e-3)
    # The first column that is all image is engine column 2, which shows image columns 1 and 2.
    x = 1.5 + 2 * np.arange(width)
    expected = np.broadcast_to(2 * (x - camera.cx) / camera.fx, (height, width))
    assert_allclose(result.points[..., 0], expected, atol=1e-3)


def test_plane_depth_is_right_for_verged_cameras_and_a_small_engine():
    camera = make_camera(61, 48, offset=-2.6)
    engine = FixedEngine((camera.disparity(2.0) + 3) * 0.5, 32, 24)

    result = process(engine, camera)

    assert result.depth.shape == (48, 61)
    assert_allclose(result.depth, 2.0, atol=1e-3)


def test_depth_edge_stays_in_place_and_sharp_with_a_small_engine():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0)
    disparity[10:30, 20:44] = 12.0
    left = encode(disparity)
    engine = EncodedEngine(32, 24)

    result = StereoPipeline(engine).process(left, left, camera, {Output.DISPARITY})

    # The engine answers in its own px, of which each is two of the image.
    assert_array_equal(result.disparity, 2 * disparity)


def test_depth_of_a_slanted_surface_is_interpolated_not_stepped():
    camera = make_camera()
    left = encode(np.tile(np.arange(64) / 4, (48, 1)))

    result = StereoPipeline(EncodedEngine(16, 12)).process(left, left, camera, {Output.DISPARITY})

    assert (np.abs(np.diff(result.disparity[:, 4:-4])) > 0.5).all()
    assert np.abs(np.diff(result.disparity)).max() < 2


def test_confidence_is_never_interpolated():
    camera = make_camera()
    confidence = np.zeros((48, 64))
    confidence[:, 32:] = 1.0
    left = encode(np.full((48, 64), 5.0), confidence)

    result = StereoPipeline(EncodedEngine(16, 12)).process(left, left, camera, ALL)

    assert_array_equal(result.certainty, confidence)
    assert_array_equal(result.known, confidence == 1.0)


def test_largest_disparity_is_in_the_outputs_pixels():
    camera = make_camera(61, 48, offset=-2.6)
    engine = FixedEngine(5.0, 32, 24, max_disparity=16.0)

    at_input = process(engine, camera).max_disparity
    at_model = process(engine, camera, output_resolution="model").max_disparity

    # 16 engine px are 32 of the extended image, whose disparities are 3 px larger.
    assert at_input == pytest.approx(32 - 3 + 2.6)
    assert at_model == pytest.approx((32 - 3 + 2.6) / 2)


# Filters


def test_default_output_is_unfiltered_but_for_the_limits():
    camera = make_camera()
    random = np.random.default_rng(3)
    disparity = random.uniform(0, 60, (48, 64)).astype(np.float32)
    confidence = random.uniform(0.001, 1, (48, 64)).astype(np.float32)

    result = process(TrueEngine(disparity, confidence), camera, max_depth=10.0)

    assert result.known.all()
    assert_array_equal(result.disparity, disparity)
    assert_array_equal(result.confidence, confidence)
    too_far = disparity < camera.fx * camera.baseline / 10
    assert too_far.sum() > 10
    assert_array_equal(np.isposinf(result.depth), too_far)


def test_confidence_threshold_removes_what_is_less_sure():
    camera = make_camera()
    confidence = depths(camera, 0.1, 0.3, 0.5, 0.9)

    result = process(
        seeing(camera, depths(camera, 2.0), confidence), camera, confidence_threshold=0.4
    )

    assert_array_equal(np.isnan(result.depth), confidence < 0.4)


def test_edge_filter_removes_the_pixels_between_two_surfaces():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    disparity[:, 30] = 8.0
    disparity[:, 31:] = 12.0

    result = process(TrueEngine(disparity), camera, edge_filter=1.0)

    assert np.isnan(result.depth[:, 30]).all()
    assert np.isfinite(np.delete(result.depth, 30, axis=1)).all()


def test_speckle_filter_removes_small_regions():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    disparity[10:12, 20:22] = 12.0
    disparity[20:30, 20:30] = 12.0

    depth = process(TrueEngine(disparity), camera, speckle_size=4).depth

    removed = np.zeros((48, 64), bool)
    removed[10:12, 20:22] = True
    assert_array_equal(np.isnan(depth), removed)


def test_speckle_filter_does_not_bridge_unknown_pixels():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0, np.float32)
    confidence = np.ones((48, 64), np.float32)
    confidence[9:13, 19:23] = 0
    confidence[10:12, 20:22] = 1

    known = process(TrueEngine(disparity, confidence), camera, speckle_size=4).known

    assert not known[9:13, 19:23].any()
    assert known.sum() == known.size - 16


def test_outside_the_roi_is_unknown():
    camera = make_camera()

    result = process(FixedEngine(5.0), camera, roi=(10.0, 5.0, 40.0, 5.0, 40.0, 30.0, 10.0, 30.0))

    inside = np.zeros((48, 64), bool)
    inside[5:31, 10:41] = True
    assert_array_equal(np.isfinite(result.depth), inside)
    assert_array_equal(result.disparity == -1, ~inside)


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
    assert_array_equal(np.isnan(result.depth), shadow)


def test_left_right_check_removes_the_shadow_for_verged_cameras_too():
    camera = make_camera(offset=-1.5)

    result = StereoPipeline(EncodedEngine(), Settings(lr_check=True)).process(
        *occluder_pair(added=2), camera, {Output.DISPARITY}
    )

    # In the image itself the disparities are 0 and 8.
    shadow = np.zeros((48, 64), bool)
    shadow[:, 12:20] = True
    assert_array_equal(result.disparity == -1, shadow)
    assert_allclose(result.disparity[:, 20:30], 8 + 1.5)
    assert_allclose(result.disparity[:, 30:], 0 + 1.5)


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

    assert not at_input.known.any()
    assert at_model.known[:, 4:].all()


def test_settings_may_change_between_frames():
    camera = make_camera()
    pipeline = StereoPipeline(FixedEngine(camera.disparity(2.0)))

    before = pipeline.process(*images(camera), camera, {Output.DEPTH}).depth
    pipeline.settings = Settings(max_depth=1.5)
    after = pipeline.process(*images(camera), camera, {Output.DEPTH}).depth

    assert_allclose(before, 2.0, atol=1e-3)
    assert np.isposinf(after).all()


# The temporal filter


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


# Errors and rectification


@pytest.mark.parametrize("side", ["left", "right"])
def test_image_of_another_size_than_the_camera_is_refused_with_both_sizes(side):
    camera = make_camera(64, 48)
    pair = {"left": images(camera)[0], "right": images(camera)[1]}
    pair[side] = pair[side][:40, :60]

    with pytest.raises(FrameError, match=f"{side} image is 60 x 40 .* 64 x 48"):
        StereoPipeline(FixedEngine(5.0)).process(**pair, camera=camera, wanted=ALL)


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

    assert_allclose(result.depth, 2.0, atol=1e-3)


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
    assert_array_equal(result.image, seen_left)
    assert result.seconds["rectify"] > 0


def test_yard_matched_from_images_has_true_depth(yard):
    result = StereoPipeline(SgbmEngine()).process(
        yard.pair.left, yard.pair.right, yard.camera, {Output.DEPTH}
    )

    measured = np.isfinite(result.depth) & yard.pair.visible & (yard.pair.depth < 6)
    error = np.abs(result.depth[measured] / yard.pair.depth[measured] - 1)
    assert measured.mean() > 0.2
    assert np.median(error) < 0.02


def test_scene_truth_survives_a_verged_camera_from_render_to_depth():
    camera = make_camera(96, 72, focal=80.0, offset=-6.4)
    pair = render(yard_scene(), camera)

    result = StereoPipeline(TrueEngine(pair.disparity)).process(
        pair.left, pair.right, camera, {Output.DEPTH}
    )

    in_range = pair.depth <= 50
    assert_allclose(result.depth[in_range], pair.depth[in_range], rtol=1e-3)
    assert np.isposinf(result.depth[~in_range]).all()
