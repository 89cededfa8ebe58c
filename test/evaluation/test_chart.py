import re
from dataclasses import replace

import numpy as np
import pytest

from stereo_depth_ros.evaluation.chart import draw_chart
from stereo_depth_ros.evaluation.metrics import sparsification

RANDOM = np.random.default_rng(0)
ERROR = RANDOM.exponential(1.0, (40, 50))
CURVE = sparsification(10 + ERROR, 1 / (1 + ERROR), np.full(ERROR.shape, 10.0))


def points(chart):
    lines = re.findall(r'<polyline class="(\w+)".*? points="([^"]*)"', chart)
    return [(kind, np.array([p.split(",") for p in text.split()], float)) for kind, text in lines]


def test_line_starts_with_all_pixels_at_the_right_and_stays_on_the_paper():
    lines = points(draw_chart({"net": CURVE}))

    assert [kind for kind, _ in lines] == ["best", "own"]
    for _, line in lines:
        assert line[0, 0] == pytest.approx(508, abs=0.1)
        assert (np.diff(line[:, 0]) < 0).all()
        # Smaller errors lie lower, which is a larger y.
        assert (np.diff(line[:, 1]) >= 0).all()
        assert line[:, 1].min() >= 11.9
        assert line[:, 1].max() <= 252.1


def test_charts_of_several_models_share_one_height():
    worse = replace(CURVE, error=tuple(2 * value for value in CURVE.error))
    lines = points(draw_chart({"a": CURVE, "b": worse}))

    heights = [252 - line[0, 1] for kind, line in lines if kind == "own"]
    assert heights[1] == pytest.approx(2 * heights[0], rel=0.01)


def test_ticks_stand_at_their_values():
    chart = draw_chart({"net": CURVE})
    top = max(CURVE.error)
    ticks = re.findall(r'<text x="50" y="([\d.]+)" text-anchor="end">([\d.]+)</text>', chart)

    assert len(ticks) >= 3
    for y, value in ticks:
        assert float(y) - 4 == pytest.approx(252 - 240 * float(value) / top, abs=0.1)


def test_errors_of_nothing_are_drawn_too():
    flat = replace(CURVE, error=(0.0,) * 50, oracle=(0.0,) * 50)

    assert len(points(draw_chart({"net": flat}))) == 2
