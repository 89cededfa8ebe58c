from itertools import pairwise

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from stereo_depth_ros import panel
from stereo_depth_ros.colour_scale import ColourScale
from stereo_depth_ros.panel import INK, PAPER, arrange, draw_panel

PICTURE = np.random.default_rng(0).integers(0, 256, (40, 480, 3), np.uint8)
SCALE = ColourScale(0.0, 50.0, "px", cv2.COLORMAP_TURBO)


def ink(strip):
    """How much is written on ``strip``."""
    return int((strip.max(axis=2) < 128).sum())


def test_picture_lies_whole_below_its_caption():
    drawn = draw_panel(PICTURE, "left image")

    assert drawn.shape == (26 + 40, 480, 3)
    assert_array_equal(drawn[26:], PICTURE)
    assert ink(drawn[:26]) > 50
    assert ink(draw_panel(PICTURE, "")[:26]) == 0


def test_scale_shows_its_colours_from_low_to_high_and_its_ticks():
    bar = draw_panel(PICTURE, "", SCALE)[26 + 40 :]

    assert bar.shape == (40, 480, 3)
    assert_array_equal(bar[12, [10, 469]], SCALE.paint(np.array([[0.0, 50.0]]))[0])
    # Ticks at 0, 10 … 50: a line below the bar, and a text below that.
    lines = np.flatnonzero((bar[23] == INK).all(axis=1))
    assert_array_equal(lines, [10, 102, 194, 285, 377, 469])
    assert ink(bar[26:]) > 100


def test_reversed_logarithmic_scale_is_drawn_as_it_paints():
    scale = ColourScale(1.0, 100.0, "m", cv2.COLORMAP_PLASMA, True, True)

    bar = draw_panel(PICTURE, "", scale)[26 + 40 :]

    middle = scale.paint(np.array([[10.0]]))[0, 0].astype(int)
    assert np.abs(bar[12, 240].astype(int) - middle).max() <= 3


def test_texts_of_ticks_do_not_run_into_each_other(monkeypatch):
    spans = []
    monkeypatch.setattr(
        panel,
        "_write",
        lambda strip, text, x, y, unit: spans.append((x, x + panel.measure_text(text, unit))),
    )

    draw_panel(PICTURE[:, :320], "", ColourScale(0, 1e5, "millimetres", cv2.COLORMAP_TURBO))

    spans = spans[1:]  # without the caption
    assert len(spans) >= 2
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    assert spans[0][0] >= 0
    assert spans[-1][1] <= 320


def test_legend_shows_each_colour_beside_its_name():
    legend = draw_panel(PICTURE, "", legend={"unknown": (128, 128, 128), "far": (9, 8, 60)})

    strip = legend[26 + 40 :]
    assert strip.shape == (24, 480, 3)
    assert_array_equal(strip[12, 16], (128, 128, 128))
    assert (strip[12] == (9, 8, 60)).all(axis=1).sum() > 5
    assert len(draw_panel(PICTURE, "", legend={})) == 26 + 40


def test_caption_ends_with_a_whole_word_where_it_is_too_long():
    words = "word " * 60

    assert_array_equal(
        draw_panel(PICTURE, words)[:26],
        draw_panel(PICTURE, ("word " * (panel_words(words))).strip())[:26],
    )


def panel_words(words):
    fitting = [n for n in range(61) if panel.measure_text(("word " * n).strip(), 1.0) <= 460]
    return fitting[-1]


def test_text_grows_with_the_picture_and_small_pictures_are_enlarged():
    large = draw_panel(PICTURE.repeat(4, axis=1), "left image")
    small = draw_panel(PICTURE[:, :100], "left image")

    assert len(large) == 4 * 26 + 40
    assert small.shape == (26 + 4 * 40, 400, 3)
    assert_array_equal(small[26::4, ::4], PICTURE[:, :100])
    # A picture as wide as two has the texts of one.
    assert len(draw_panel(PICTURE.repeat(2, axis=1), "", columns=2)) == 26 + 40


def test_text_beyond_ascii_is_replaced():
    assert_array_equal(draw_panel(PICTURE, "S²M²"), draw_panel(PICTURE, "S?M?"))


@pytest.mark.parametrize("rows", [1, 2])
def test_panels_stand_in_rows_on_paper(rows):
    tall, short = np.zeros((30, 20, 3), np.uint8), np.full((10, 50, 3), 9, np.uint8)

    drawn = arrange([[tall, short]] * rows)

    assert drawn.shape == (40 * rows, 80, 3)
    assert_array_equal(drawn[:30, :20], tall)
    assert_array_equal(drawn[:10, 30:], short)
    for gap in (drawn[:40, 20:30], drawn[10:40, 30:], drawn[30:40]):
        assert (gap == PAPER).all()
