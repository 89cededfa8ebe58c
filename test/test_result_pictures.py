import numpy as np
from numpy.testing import assert_array_equal

from stereo_depth_ros.colour_scale import CONFIDENCE, UNKNOWN
from stereo_depth_ros.result_pictures import draw_overview, draw_result

HEIGHT, WIDTH = 240, 480
IMAGE = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)
DISPARITY = np.broadcast_to(np.linspace(5, 60, WIDTH, dtype=np.float32), (HEIGHT, WIDTH)).copy()
CONFIDENCE_MAP = np.full((HEIGHT, WIDTH), 0.75, np.float32)
CONFIDENCE_MAP[:20] = 0
DEPTH = 50 / DISPARITY
DEPTH[:20] = np.nan
DEPTH[30:40] = np.inf
DEPTH[50:60] = -np.inf
POINTS = np.dstack([np.zeros_like(DEPTH), np.zeros_like(DEPTH), DEPTH])
MAPS = DISPARITY, CONFIDENCE_MAP, DEPTH, POINTS
CAPTION = 26
"""Rows above each picture of 480 columns."""


def test_every_map_has_a_picture_below_its_caption():
    drawn = draw_result(IMAGE, *MAPS)

    assert list(drawn) == ["disparity", "depth", "confidence", "cloud"]
    assert all(picture.shape[1] == WIDTH for name, picture in drawn.items() if name != "cloud")
    assert drawn["cloud"].shape == (CAPTION + 320, 960, 3)
    confidence = drawn["confidence"][CAPTION : CAPTION + HEIGHT]
    assert_array_equal(confidence[100, 100], CONFIDENCE.paint(np.full((1, 1), 0.75))[0, 0])


def test_what_is_not_known_is_grey_in_each_map_and_in_its_legend():
    drawn = draw_result(IMAGE, *MAPS)
    known = draw_result(IMAGE, DISPARITY, np.ones_like(CONFIDENCE_MAP), 50 / DISPARITY, POINTS)

    for name in ("disparity", "depth", "confidence"):
        assert (drawn[name][CAPTION : CAPTION + 20] == UNKNOWN).all()
        assert not (drawn[name][CAPTION + 20 : CAPTION + HEIGHT] == UNKNOWN).all(axis=2).any()
        assert len(drawn[name]) == len(known[name]) + 24  # the legend


def test_depth_out_of_limits_has_colours_of_its_own():
    depth = draw_result(IMAGE, *MAPS)["depth"][CAPTION:]
    far, near = depth[30:40].reshape(-1, 3), depth[50:60].reshape(-1, 3)

    assert len(np.unique(far, axis=0)) == len(np.unique(near, axis=0)) == 1
    assert far[0].max() < 40 < 240 < near[0].min()


def test_depth_is_no_twin_of_the_disparity():
    drawn = draw_result(IMAGE, *MAPS)
    rows = slice(CAPTION + 100, CAPTION + 120)

    difference = drawn["depth"][rows].astype(int) - drawn["disparity"][rows]
    assert np.abs(difference).max(axis=2).mean() > 100


def test_maps_alone_have_no_depth_and_no_cloud():
    assert list(draw_result(IMAGE, *MAPS[:2])) == ["disparity", "confidence"]
    assert draw_overview(IMAGE, *MAPS[:2]).shape[1] == 3 * 480 + 2 * 10


def test_overview_holds_the_image_and_every_picture():
    overview = draw_overview(IMAGE, *MAPS)
    drawn = draw_result(IMAGE, *MAPS)

    assert overview.shape[1] == 3 * 480 + 2 * 10
    assert_array_equal(overview[CAPTION : CAPTION + HEIGHT, :480], IMAGE)
    for column, name in ((490, "disparity"), (980, "depth")):
        height = len(drawn[name])
        assert_array_equal(overview[:height, column : column + 480], drawn[name])
    second = len(drawn["depth"]) + 10
    assert_array_equal(overview[second:][: len(drawn["confidence"]), :480], drawn["confidence"])
    assert_array_equal(overview[second:][: len(drawn["cloud"]), 490:1450], drawn["cloud"])


def test_images_of_any_size_come_to_one_width_in_the_overview():
    for factor in (1 / 4, 2):
        height, width = round(HEIGHT * factor), round(WIDTH * factor)
        image = np.zeros((height, width, 3), np.uint8)
        maps = np.full((height, width), 7, np.float32), np.ones((height, width), np.float32)
        assert draw_overview(image, *maps).shape[1] == 3 * 480 + 2 * 10
