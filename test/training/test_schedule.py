from itertools import pairwise

import pytest

from stereo_depth_ros.training.schedule import anneal


def test_learning_rate_warms_up_and_falls_to_a_fiftieth():
    rates = [anneal(step, 1000) for step in range(1001)]

    assert rates[0] == pytest.approx(1 / 20)
    assert max(rates) == rates[20] == pytest.approx(1)
    assert all(a < b for a, b in pairwise(rates[:20]))
    assert all(a > b for a, b in pairwise(rates[20:]))
    assert rates[1000] == pytest.approx(0.02)


@pytest.mark.parametrize("total", [0.5, 3.0, 100.0])
def test_seconds_give_no_rate_beyond_the_recipes(total):
    rates = [anneal(total * share / 64, total) for share in range(65)]

    assert min(rates) >= 0.02
    assert max(rates) <= 1
    assert anneal(2 * total + 2, total) == pytest.approx(0.02)
