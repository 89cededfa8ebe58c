import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import Engine, EngineError
from stereo_depth_ros.engines.sgbm import SgbmEngine
from stereo_depth_ros.scenes.planar import plane_scene, render

MODES = pytest.mark.parametrize("mode", ["3way", "hh"])


def wall_pair(disparity, width=160, height=120):
    camera = StereoCamera(width, height, 260.0, 260.0, width / 2, height / 2, width / 2, 0.1)
    return render(plane_scene(camera.fx * camera.baseline / disparity), camera)


def known_errors(yard, mode):
    """Errors in px and confidences of the matched pixels that both views see."""
    disparity, confidence = SgbmEngine(mode=mode).infer(yard.pair.left, yard.pair.right)
    textured = yard.pair.visible & np.isfinite(yard.pair.depth)
    known = textured & (confidence > 0)
    assert known.sum() > 0.9 * textured.sum()
    return np.abs(disparity - yard.pair.disparity)[known], confidence[known]


@MODES
def test_error_is_small_where_both_views_see_a_textured_surface(yard, mode):
    error, _ = known_errors(yard, mode)

    assert np.median(error) < 0.25
    assert (error > 2).mean() < 0.06


@MODES
def test_error_falls_as_confidence_rises(yard, mode):
    error, confidence = known_errors(yard, mode)

    low, middle, high = np.array_split(error[np.argsort(confidence)], 3)
    assert high.mean() < middle.mean() < low.mean()
    assert high.mean() < 0.7 * low.mean()


@MODES
def test_every_pixel_has_a_finite_disparity_and_a_confidence(yard, mode):
    disparity, confidence = SgbmEngine(mode=mode).infer(yard.pair.left, yard.pair.right)

    assert disparity.shape == confidence.shape == (240, 320)
    assert disparity.dtype == confidence.dtype == np.float32
    assert np.isfinite(disparity).all()
    assert disparity.min() >= 0
    assert confidence.min() == 0
    assert 0.5 < confidence.max() <= 1


def exposed(image, gain, level=0.0):
    return np.clip(np.rint(image * gain + level), 0, 255).astype(np.uint8)


def valid_and_errors(yard, left, right, **options):
    """Share of valid pixels, and the errors in px of those that both views see."""
    disparity, confidence = SgbmEngine(**options).infer(left, right)
    valid = confidence > 0
    seen = valid & yard.pair.visible & np.isfinite(yard.pair.depth)
    return valid.mean(), np.abs(disparity - yard.pair.disparity)[seen]


@pytest.mark.parametrize(
    ("gain", "level"), [(0.8, 0), (0.7, 0), (0.5, 0), (0.7, 40), (1.0, -25), (1.3, -30)]
)
@pytest.mark.parametrize("options", [{}, {"max_disparity": 64}], ids=["adaptive", "fixed"])
def test_unequal_exposure_costs_nothing(yard, gain, level, options):
    left, right = yard.pair.left, yard.pair.right
    equal, equal_error = valid_and_errors(yard, left, right, **options)

    for views in ((left, exposed(right, gain, level)), (exposed(left, gain, level), right)):
        valid, error = valid_and_errors(yard, *views, **options)

        assert valid > 0.95 * equal
        assert np.median(error) < np.median(equal_error) + 0.02
        assert (error > 2).mean() < (equal_error > 2).mean() + 0.03


def test_views_that_show_different_things_at_one_exposure_stay_as_they_are(yard):
    left, right = yard.pair.left.copy(), yard.pair.right
    # So bright a thing before the left camera alone that the views as wholes differ.
    left[:, :100] = 235
    _, alone = SgbmEngine(max_disparity=64).infer(left[:, 100:].copy(), right[:, 100:].copy())

    disparity, confidence = SgbmEngine(max_disparity=64).infer(left, right)

    common = confidence[:, 160:] > 0
    assert common.sum() > 0.97 * (alone[:, 60:] > 0).sum()
    seen = common & yard.pair.visible[:, 160:] & np.isfinite(yard.pair.depth[:, 160:])
    error = np.abs(disparity - yard.pair.disparity)[:, 160:][seen]
    assert np.median(error) < 0.25


def test_open_sky_is_unknown_and_no_phantom_obstacle(yard):
    _, confidence = SgbmEngine().infer(yard.pair.left, yard.pair.right)

    # Away from all edges, where no object lends its disparity
    sky = np.isposinf(yard.pair.depth).astype(np.uint8)
    open_sky = cv2.erode(sky, np.ones((41, 41), np.uint8)) > 0
    assert open_sky.sum() > 5000
    assert (confidence[open_sky] > 0).mean() < 0.1


def test_pair_without_texture_is_unknown_everywhere():
    blank = np.full((60, 80, 3), 128, np.uint8)

    disparity, confidence = SgbmEngine().infer(blank, blank)

    assert_array_equal(confidence, np.zeros((60, 80)))
    assert np.isfinite(disparity).all()
    assert disparity.min() >= 0


def test_views_without_anything_in_common_are_unknown_but_finite():
    stripes = np.arange(80, dtype=np.uint8)[None, :, None] % 8 * 30
    left = np.tile(stripes, (60, 1, 3))
    right = np.random.default_rng(0).integers(0, 256, left.shape, dtype=np.uint8)

    # The full mode leaves whole rows without any match to fill them from.
    disparity, confidence = SgbmEngine(mode="hh").infer(left, right)

    assert_array_equal(confidence, np.zeros((60, 80)))
    assert np.isfinite(disparity).all()
    assert disparity.min() >= 0


def test_region_that_only_the_left_view_shows_is_unknown():
    pair = wall_pair(12)
    left = pair.left.copy()
    random = np.random.default_rng(1)
    left[40:80, 60:100] = random.integers(0, 256, (40, 40, 3), dtype=np.uint8)

    _, confidence = SgbmEngine().infer(left, pair.right)

    assert (confidence[45:75, 65:95] == 0).mean() > 0.9
    assert (confidence[:30] > 0).mean() > 0.9


def test_unmatched_gap_takes_the_disparity_of_the_farther_side():
    far, near = wall_pair(4), wall_pair(20)
    columns = np.arange(160)[:, None]
    left = np.where(columns < 100, far.left, near.left)
    right = np.where(columns < 80, far.right, near.right)
    random = np.random.default_rng(1)
    left[:, 90:120] = random.integers(0, 256, (120, 30, 3), dtype=np.uint8)

    disparity, confidence = SgbmEngine().infer(left, right)

    gap = disparity[:, 95:115][confidence[:, 95:115] == 0]
    assert gap.size > 1500
    assert np.median(gap) == pytest.approx(4, abs=0.5)
    assert np.median(disparity[:, 130:]) == pytest.approx(20, abs=0.5)


@pytest.mark.parametrize("truth", [22.0, 24.3, 25.6, 27.5])
def test_depth_of_a_plane_at_two_metres_is_within_one_percent(truth):
    camera = StereoCamera(240, 180, 260.0, 260.0, 119.5, 89.5, 119.5, truth * 2 / 260)
    pair = render(plane_scene(2.0), camera)

    disparity, confidence = SgbmEngine().infer(pair.left, pair.right)

    assert np.median(camera.depth(disparity)[confidence > 0]) == pytest.approx(2.0, rel=0.01)


def test_left_border_is_matched_from_where_both_views_see():
    # A wall at 4 px is seen by both views from column 4 on; a search range would hide more.
    disparity, confidence = SgbmEngine(max_disparity=64).infer(
        *(getattr(wall_pair(4), view) for view in ("left", "right"))
    )

    assert (confidence[:, 8:64] > 0).mean() > 0.95
    assert np.abs(disparity[:, 8:64] - 4).max() < 0.5


@pytest.mark.parametrize(("truth", "width"), [(3, 200), (20, 200), (40, 200), (110, 400)])
def test_search_range_is_found_without_being_told(truth, width):
    pair = wall_pair(truth, width)

    disparity, confidence = SgbmEngine().infer(pair.left, pair.right)

    seen = confidence[:, truth + 8 :] > 0
    assert seen.mean() > 0.95
    assert np.median(disparity[:, truth + 8 :][seen]) == pytest.approx(truth, abs=0.25)


def test_explicit_search_range_is_honoured():
    pair = wall_pair(40, width=200)

    wide, wide_confidence = SgbmEngine(max_disparity=48).infer(pair.left, pair.right)
    narrow, narrow_confidence = SgbmEngine(max_disparity=32).infer(pair.left, pair.right)

    assert np.median(wide[:, 48:]) == pytest.approx(40, abs=0.25)
    assert (wide_confidence[:, 48:] > 0).mean() > 0.95
    assert narrow.max() <= 32
    assert (narrow_confidence > 0).mean() < 0.2


def test_spec_says_which_search_range_was_given():
    assert SgbmEngine(max_disparity=96).spec.max_disparity == 96.0
    assert SgbmEngine().spec.max_disparity is None


def test_spec_takes_any_size_and_names_the_mode():
    spec = SgbmEngine("mine", mode="hh").spec

    assert (spec.name, spec.backend, spec.width, spec.height) == ("mine", "opencv", None, None)
    assert "mode hh" in str(spec.provenance)
    assert "any size" in str(spec)


@pytest.mark.parametrize(("width", "height"), [(161, 123), (97, 64), (40, 31)])
def test_odd_sizes_are_matched(width, height):
    pair = wall_pair(6, width, height)

    disparity, confidence = SgbmEngine().infer(pair.left, pair.right)

    assert disparity.shape == confidence.shape == (height, width)
    assert np.median(disparity[confidence > 0]) == pytest.approx(6, abs=0.25)


def test_grey_images_as_rgb_are_matched(yard):
    grey = [
        np.repeat(np.rint(view.mean(axis=2)).astype(np.uint8)[..., None], 3, axis=2)
        for view in (yard.pair.left, yard.pair.right)
    ]

    disparity, confidence = SgbmEngine().infer(*grey)

    known = (confidence > 0) & yard.pair.visible & np.isfinite(yard.pair.depth)
    assert known.mean() > 0.5
    error = np.abs(disparity - yard.pair.disparity)[known]
    assert np.median(error) < 0.25
    assert (error > 2).mean() < 0.06


def test_same_pair_gives_the_same_answer(yard):
    engine = SgbmEngine()

    first = engine.infer(yard.pair.left, yard.pair.right)
    second = engine.infer(yard.pair.left, yard.pair.right)

    assert_array_equal(first[0], second[0])
    assert_array_equal(first[1], second[1])


def test_images_stay_as_they_were(yard):
    left, right = yard.pair.left.copy(), yard.pair.right.copy()

    SgbmEngine().infer(left, right)

    assert_array_equal(left, yard.pair.left)
    assert_array_equal(right, yard.pair.right)


def test_mirrored_views_are_matched(wall):
    # The left-right check hands over views that are not contiguous in memory.
    disparity, confidence = SgbmEngine().infer(wall.pair.right[:, ::-1], wall.pair.left[:, ::-1])

    assert np.median(disparity[confidence > 0]) == pytest.approx(26.0, abs=0.25)


def test_unknown_mode_lists_the_known_ones():
    with pytest.raises(EngineError, match="mode 'fast' is not known; known are 3way, hh"):
        SgbmEngine(mode="fast")


def test_closing_twice_is_harmless():
    engine = SgbmEngine()

    engine.close()
    engine.close()

    assert isinstance(engine, Engine)


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        ({"mode": ["hh"]}, "mode ['hh'] is not known"),
        ({"max_disparity": True}, "max_disparity is True"),
        ({"max_disparity": 10**400}, "max_disparity is 1000"),
    ],
)
def test_options_that_a_card_may_hold_are_refused_on_one_short_line(options, cause):
    with pytest.raises(EngineError) as caught:
        SgbmEngine(**options)
    assert cause in str(caught.value)
    assert len(str(caught.value)) < 200


def test_views_that_run_backwards_are_matched_like_copies(wall):
    left, right = wall.pair.right[:, ::-1], wall.pair.left[:, ::-1]

    matched = SgbmEngine().infer(left, right)
    of_copies = SgbmEngine().infer(left.copy(), right.copy())

    for values, expected in zip(matched, of_copies, strict=True):
        assert_array_equal(values, expected)


@pytest.mark.parametrize("sigma", [1, 2])
def test_shading_of_a_blank_wall_is_not_taken_for_an_exposure(sigma):
    # Seen 60 px apart, a wall that grows brighter along the row is brighter in one view.
    shading = np.tile(np.linspace(60, 180, 740), (480, 1))
    noise = np.random.default_rng(0).normal(0, sigma, (2, 480, 640, 1))
    left, right = (
        np.clip(np.rint(view[..., None] + noise[i]), 0, 255).astype(np.uint8).repeat(3, axis=2)
        for i, view in enumerate((shading[:, :640], shading[:, 60:700]))
    )

    disparity, confidence = SgbmEngine().infer(left, right)

    answered = disparity[confidence > 0]
    assert np.median(answered) == pytest.approx(60, abs=4)
    assert (answered < 5).mean() < 0.02
