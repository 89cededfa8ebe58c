"""Engines of a fixed size, and such as are made for that of the images."""

from dataclasses import replace

import numpy as np
import pytest
from fakes import EncodedEngine, FixedEngine, encode, make_camera
from numpy.testing import assert_allclose, assert_array_equal
from views import ALL, process

from stereo_depth_ros.graph_contract import AnySize
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.settings import Settings

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

    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)


def test_plane_depth_is_right_for_odd_sizes():
    camera = make_camera(161, 123)
    # 61 of 64 rows are used; disparity scales with the columns, 80 for 161.
    engine = FixedEngine(camera.disparity(2.0) * 80 / 161, 80, 64)

    for resolution, shape in (("input", (123, 161)), ("model", (61, 80))):
        depth = process(engine, camera, output_resolution=resolution).outputs[Output.DEPTH]
        assert depth.shape == shape
        assert_allclose(depth, 2.0, atol=1e-3)


@SIZES
def test_outputs_are_at_the_size_of_the_images(width, height, scale):
    camera = make_camera()

    result = process(FixedEngine(5.0, width, height), camera)

    assert result.match.camera == camera
    for output in set(Output) - {Output.FREE_SPACE}:
        assert result.outputs[output].shape[:2] == (camera.height, camera.width)


@SIZES
def test_model_resolution_gives_the_points_of_the_engines_pixels(width, height, scale):
    camera = make_camera()
    engine = FixedEngine(camera.disparity(2.0) * scale, width, height)

    result = process(engine, camera, output_resolution="model")

    shape = round(camera.height * scale), round(camera.width * scale)
    assert (result.match.camera.height, result.match.camera.width) == shape
    assert result.outputs[Output.POINTS].shape == (*shape, 4)
    assert result.match.image.shape == (*shape, 3)
    assert result.match.camera.fx == pytest.approx(camera.fx * scale)
    v, u = np.mgrid[: shape[0], : shape[1]]
    # Where the centre of an engine pixel lies in the image
    x, y = (u + 0.5) / scale - 0.5, (v + 0.5) / scale - 0.5
    assert_allclose(
        result.outputs[Output.POINTS][..., 0], 2 * (x - camera.cx) / camera.fx, atol=1e-3
    )
    assert_allclose(
        result.outputs[Output.POINTS][..., 1], 2 * (y - camera.cy) / camera.fy, atol=1e-3
    )
    assert_allclose(result.outputs[Output.POINTS][..., 2], 2.0, atol=1e-3)


def test_model_resolution_of_verged_cameras_gives_the_points_of_the_engines_pixels():
    camera = make_camera(61, 48, offset=-2.6)
    # Three columns are added, so 64 x 48 become 32 x 24.
    engine = FixedEngine((camera.disparity(2.0) + 3) * 0.5, 32, 24)

    result = process(engine, camera, output_resolution="model")

    height, width = result.outputs[Output.DEPTH].shape
    assert (height, width) == (24, 30)
    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)
    assert_allclose(
        result.match.camera.fx * result.match.camera.baseline / result.outputs[Output.DISPARITY],
        2.0,
        atol=1e-3,
    )
    # The first column that is all image is engine column 2, which shows image columns 1 and 2.
    x = 1.5 + 2 * np.arange(width)
    expected = np.broadcast_to(2 * (x - camera.cx) / camera.fx, (height, width))
    assert_allclose(result.outputs[Output.POINTS][..., 0], expected, atol=1e-3)


def test_plane_depth_is_right_for_verged_cameras_and_a_small_engine():
    camera = make_camera(61, 48, offset=-2.6)
    engine = FixedEngine((camera.disparity(2.0) + 3) * 0.5, 32, 24)

    result = process(engine, camera)

    assert result.outputs[Output.DEPTH].shape == (48, 61)
    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)


def test_depth_edge_stays_in_place_and_sharp_with_a_small_engine():
    camera = make_camera()
    disparity = np.full((48, 64), 4.0)
    disparity[10:30, 20:44] = 12.0
    left = encode(disparity)
    engine = EncodedEngine(32, 24)

    result = StereoPipeline(engine).process(left, left, camera, {Output.DISPARITY})

    # The engine answers in its own px, of which each is two of the image.
    assert_array_equal(result.outputs[Output.DISPARITY], 2 * disparity)


def test_depth_of_a_slanted_surface_is_interpolated_not_stepped():
    camera = make_camera()
    left = encode(np.tile(np.arange(64) / 4, (48, 1)))

    result = StereoPipeline(EncodedEngine(16, 12)).process(left, left, camera, {Output.DISPARITY})

    assert (np.abs(np.diff(result.outputs[Output.DISPARITY][:, 4:-4])) > 0.5).all()
    assert np.abs(np.diff(result.outputs[Output.DISPARITY])).max() < 2


def test_confidence_is_never_interpolated():
    camera = make_camera()
    confidence = np.zeros((48, 64))
    confidence[:, 32:] = 1.0
    left = encode(np.full((48, 64), 5.0), confidence)

    result = StereoPipeline(EncodedEngine(16, 12)).process(left, left, camera, ALL)

    assert_array_equal(result.match.confidence, confidence)
    assert_array_equal(result.match.valid, confidence == 1.0)


def test_largest_disparity_is_in_the_outputs_pixels():
    camera = make_camera(61, 48, offset=-2.6)
    engine = FixedEngine(5.0, 32, 24, max_disparity=16.0)

    at_input = process(engine, camera).match.max_disparity
    at_model = process(engine, camera, output_resolution="model").match.max_disparity

    # 16 engine px are 32 of the extended image, whose disparities are 3 px larger.
    assert at_input == pytest.approx(32 - 3 + 2.6)
    assert at_model == pytest.approx((32 - 3 + 2.6) / 2)


ANY_SIZE = AnySize((48, 64), (24, 60), 8)


@pytest.mark.parametrize(
    ("image", "max_side", "inner", "given"),
    [
        ((64, 48), 768, (64, 48), (64, 48)),
        ((100, 30), 768, (100, 30), (100, 30)),
        ((32, 24), 768, (64, 48), (64, 48)),
        ((100, 40), 50, (50, 20), (60, 24)),
        ((100, 40), 0, (100, 40), (100, 40)),
    ],
    ids=["own", "wide", "enlarged", "limited", "unlimited"],
)
@pytest.mark.parametrize("resolution", ["input", "model"])
def test_network_for_any_size_is_given_the_images_at_theirs(
    image, max_side, inner, given, resolution
):
    camera = make_camera(*image)
    engine = FixedEngine(camera.disparity(2.0) * inner[0] / image[0])
    engine.spec = replace(engine.spec, sizes=ANY_SIZE)

    result = process(engine, camera, output_resolution=resolution, max_side=max_side)

    ((left, _),) = engine.pairs
    assert left.shape[1::-1] == given
    assert_allclose(result.outputs[Output.DEPTH], 2.0, atol=1e-3)
    pipeline = StereoPipeline(engine, Settings(max_side=max_side))
    assert pipeline.input_size(camera) == given[::-1]


def test_engine_that_was_built_for_one_size_of_many_is_given_that():
    camera = make_camera(128, 96)
    engine = FixedEngine(5.0, 64, 48)
    engine.spec = replace(engine.spec, sizes=ANY_SIZE)

    process(engine, camera)

    assert engine.pairs[0][0].shape == (48, 64, 3)
    # Until it is opened for that of the images.
    assert StereoPipeline(engine).input_size(camera) == (96, 128)


def test_engine_whose_graph_is_static_is_to_stay_as_it_is():
    assert StereoPipeline(FixedEngine(5.0, 64, 48)).input_size(make_camera(128, 96)) is None
    assert StereoPipeline(FixedEngine(5.0)).input_size(make_camera(128, 96)) is None
