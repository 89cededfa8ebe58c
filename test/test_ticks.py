import pytest

from stereo_depth_ros.ticks import find_ratio_ticks, find_ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (3, 58, [10, 20, 30, 40, 50]),
        (0, 130, [0, 20, 40, 60, 80, 100, 120]),
        (2, 3, [2, 2.2, 2.4, 2.6, 2.8, 3]),
        (0, 0.0123, [0, 0.002, 0.004, 0.006, 0.008, 0.01, 0.012]),
    ],
)
def test_ticks_are_multiples_of_one_round_step(low, high, ticks):
    assert find_ticks(low, high) == ticks


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0.9, 15, [1, 1.5, 2, 3, 5, 7, 10, 15]),
        (0.3, 80, [0.5, 1, 2, 5, 10, 20, 50]),
        (1e-3, 1e4, [1e-3, 1e-2, 1e-1, 1, 10, 100, 1e3, 1e4]),
    ],
)
def test_ticks_of_ratios_are_round_and_few(low, high, ticks):
    assert find_ratio_ticks(low, high) == ticks
