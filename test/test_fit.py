import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.fit import Fit, choose_size
from stereo_depth_ros.graph_contract import AnySize


def noise(height, width):
    random = np.random.default_rng(height * 1000 + width)
    return random.integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("image", "engine", "inner"),
    [
        pytest.param((64, 48), (64, 48), (64, 48), id="same"),
        pytest.param((64, 48), (32, 24), (32, 24), id="smaller engine"),
        pytest.param((64, 48), (128, 96), (128, 96), id="larger engine"),
        pytest.param((64, 48), (64, 32), (43, 32), id="wider engine"),
        pytest.param((64, 48), (40, 60), (40, 30), id="taller engine"),
        pytest.param((64, 48), (160, 96), (128, 96), id="larger and wider engine"),
        pytest.param((1000, 10), (32, 32), (32, 1), id="extreme aspect ratio"),
    ],
)
def test_plan_fills_the_engine_as_far_as_one_scale_allows(image, engine, inner):
    fit = Fit.plan(*image, *engine)
    assert (fit.width, fit.height) == image
    assert (fit.inner_width, fit.inner_height) == inner
    assert (fit.engine_width, fit.engine_height) == engine
    assert fit.scale == inner[0] / image[0]


ANY_SIZE = AnySize((300, 400), (1, 192), 32)


@pytest.mark.parametrize(
    ("image", "inner", "engine"),
    [
        pytest.param((640, 480), (640, 480), (640, 480), id="own size"),
        pytest.param((768, 767), (768, 767), (768, 767), id="just within"),
        pytest.param((1242, 375), (768, 232), (768, 232), id="too wide"),
        pytest.param((600, 1536), (300, 768), (300, 768), id="too high"),
        pytest.param((160, 120), (400, 300), (400, 300), id="enlarged"),
        pytest.param((160, 400), (160, 400), (192, 400), id="below the smallest"),
        pytest.param((10, 4000), (2, 768), (192, 768), id="extreme aspect ratio"),
    ],
)
def test_plan_for_any_size_keeps_that_of_the_image_within_limits(image, inner, engine):
    fit = Fit.plan_any_size(*image, ANY_SIZE, 768)

    assert (fit.inner_width, fit.inner_height) == inner
    assert (fit.engine_width, fit.engine_height) == engine


def test_plan_for_any_size_without_a_limit_scales_nothing_down():
    assert Fit.plan_any_size(4000, 3000, ANY_SIZE, 0).scale == 1.0


def test_limit_below_the_size_of_the_graph_wins():
    assert Fit.plan_any_size(640, 320, ANY_SIZE, 320).inner_width == 320


def test_size_is_limited_in_its_proportion():
    usual = 480, 640
    assert choose_size(375, 1242, usual, 768) == (232, 768)
    assert choose_size(480, 640, usual, 768) == choose_size(480, 640, usual, 0) == (480, 640)
    assert choose_size(20, 20, usual, 768) == (640, 640)
    assert choose_size(375, 1242, usual, 0) == (375, 1242)


@pytest.mark.parametrize("engine", [(None, None), (None, 32), (64, None)])
def test_plan_for_an_engine_of_any_size_changes_nothing(engine):
    image = noise(48, 64)
    fit = Fit.plan(64, 48, *engine)
    assert fit.scale == 1.0
    assert fit.pad(fit.shrink(image)) is image


@pytest.mark.parametrize("engine", [(31, 17), (64, 48), (100, 75), (50, 90), (333, 48)])
def test_image_has_the_size_of_the_engine_after_shrink_and_pad(engine):
    fit = Fit.plan(64, 48, *engine)
    shrunk = fit.shrink(noise(48, 64))
    assert shrunk.shape == (fit.inner_height, fit.inner_width, 3)
    assert fit.pad(shrunk).shape == (engine[1], engine[0], 3)


def test_crop_undoes_pad():
    fit = Fit.plan(64, 48, 90, 50)
    shrunk = fit.shrink(noise(48, 64))
    np.testing.assert_array_equal(fit.crop(fit.pad(shrunk)), shrunk)


def test_padding_repeats_the_last_column_and_row_at_right_and_bottom():
    fit = Fit(4, 3, 4, 3, 7, 5)
    image = noise(3, 4)
    padded = fit.pad(image)
    np.testing.assert_array_equal(padded[:3, 4:], np.repeat(image[:, -1:], 3, axis=1))
    np.testing.assert_array_equal(padded[3:, :4], np.repeat(image[-1:], 2, axis=0))


def test_shrink_averages_the_pixels_that_become_one():
    image = noise(48, 64)
    fit = Fit.plan(64, 48, 32, 24)
    means = image.reshape(24, 2, 32, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(fit.shrink(image), means, atol=0.51)


def test_camera_describes_the_scaled_image():
    camera = StereoCamera(64, 48, 50.0, 52.0, 31.5, 23.5, 29.5, 0.1)
    small = Fit.plan(64, 48, 32, 40).camera(camera)
    assert (small.width, small.height) == (32, 24)
    assert (small.fx, small.fy, small.cx, small.cy) == (25.0, 26.0, 15.5, 11.5)
    assert small.offset == 1.0


# Engines of a third, two thirds and about four fifths and 95 % of the image, and larger ones.
SIZES = [(32, 24), (64, 48), (77, 58), (91, 68), (192, 144), (336, 252)]


def slanted(width, height, scale_x, scale_y, slope_x, slope_y):
    """Return the disparity in inner px, at inner pixels, of a plane given in input px."""
    x = (np.arange(width) + 0.5) / scale_x - 0.5
    y = (np.arange(height) + 0.5) / scale_y - 0.5
    plane = 20.0 + slope_x * x[None, :] + slope_y * y[:, None]
    return (plane * scale_x).astype(np.float32)


@pytest.mark.parametrize("engine", SIZES)
@pytest.mark.parametrize(
    ("slope_x", "slope_y"), [(0.05, -0.03), (-0.1, 0.2), (0.0, 0.4), (0.0, 0.7)]
)
def test_disparity_of_a_slanted_plane_comes_back_in_input_pixels(engine, slope_x, slope_y):
    fit = Fit.plan(96, 72, *engine)
    inner = (fit.inner_width, fit.inner_height)
    disparity = slanted(*inner, inner[0] / 96, inner[1] / 72, slope_x, slope_y)
    answer = fit.enlarge_disparity(disparity)
    assert answer.shape == (72, 96)
    assert answer.dtype == np.float32
    expected = slanted(96, 72, 1.0, 1.0, slope_x, slope_y)
    # beyond the outermost inner pixel centres there is nothing to interpolate
    edge = int(np.ceil(0.5 * 96 / inner[0]))
    inside = np.s_[edge:-edge, edge:-edge]
    np.testing.assert_allclose(answer[inside], expected[inside], rtol=0, atol=0.02)


def test_disparity_at_the_same_size_is_returned_as_it_is():
    disparity = np.random.default_rng(0).uniform(0, 30, (48, 64)).astype(np.float32)
    assert Fit.plan(64, 48, 64, 60).enlarge_disparity(disparity) is disparity


def step_edge(fit):
    disparity = np.full((fit.inner_height, fit.inner_width), 3.0, np.float32)
    disparity[:, fit.inner_width // 2 :] = 23.0
    return disparity


@pytest.mark.parametrize("engine", SIZES)
def test_step_edge_gets_no_values_between_its_sides(engine):
    fit = Fit.plan(96, 72, *engine)
    answer = fit.enlarge_disparity(step_edge(fit)) * fit.scale
    # half an inner pixel is what a slanted surface needs
    assert (np.minimum(abs(answer - 3.0), abs(answer - 23.0)) < 0.5).all()


def test_step_edge_enlarged_twofold_stays_where_it_is():
    fit = Fit.plan(96, 72, 48, 36)
    answer = fit.enlarge_disparity(step_edge(fit))
    assert (answer[:, :48] == 6.0).all()
    assert (answer[:, 48:] == 46.0).all()


@pytest.mark.parametrize("engine", SIZES)
def test_nearest_takes_the_inner_pixel_that_covers_the_centre(engine):
    fit = Fit.plan(96, 72, *engine)
    inner_height, inner_width = fit.inner_height, fit.inner_width
    values = np.arange(inner_height * inner_width, dtype=np.float32).reshape(inner_height, -1)
    rows, columns = np.divmod(fit.enlarge_nearest(values).astype(int), inner_width)
    row_error = rows[:, 0] - ((np.arange(72) + 0.5) * inner_height / 72 - 0.5)
    column_error = columns[0] - ((np.arange(96) + 0.5) * inner_width / 96 - 0.5)
    assert abs(row_error).max() <= 0.5 + 1e-6
    assert abs(column_error).max() <= 0.5 + 1e-6


@pytest.mark.parametrize("engine", SIZES)
def test_nearest_makes_no_new_values(engine):
    fit = Fit.plan(96, 72, *engine)
    values = np.random.default_rng(0).choice(
        np.array([0.0, 0.3, 1.0], np.float32), (fit.inner_height, fit.inner_width)
    )
    answer = fit.enlarge_nearest(values)
    assert answer.dtype == np.float32
    assert set(np.unique(answer)) == set(np.unique(values))


def test_masks_stay_masks():
    fit = Fit.plan(96, 72, 48, 36)
    mask = np.random.default_rng(0).random((36, 48)) < 0.5
    answer = fit.enlarge_nearest(mask)
    assert answer.dtype == bool
    np.testing.assert_array_equal(answer, mask.repeat(2, axis=0).repeat(2, axis=1))
