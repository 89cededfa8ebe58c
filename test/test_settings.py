import dataclasses
import re

import pytest

from stereo_depth_ros.settings import MEANINGS, Settings


@pytest.mark.parametrize(("low", "high"), [(2.0, 2.0), (3.0, 2.0)])
def test_depth_limits_out_of_order_are_refused_with_both_values(low, high):
    with pytest.raises(ValueError, match=f"min_depth \\({low:g}\\).*max_depth \\({high:g}\\)"):
        Settings(min_depth=low, max_depth=high)


LIMITED = [name for name, meaning in MEANINGS.items() if meaning.limits is not None]


@pytest.mark.parametrize("name", LIMITED)
def test_number_beyond_its_limits_is_refused_with_them(name):
    low, high = MEANINGS[name].limits

    for value in (low - 1, high + 1, float("nan"), float("inf")):
        with pytest.raises(
            ValueError, match=re.escape(f"{name} is {value:g}; it must be {low:g} to")
        ):
            Settings(**{name: value})
    for value in {low, high} - {0.001, 10000.0}:  # of the depths, one is below the other
        assert getattr(Settings(**{name: value}), name) == value


@pytest.mark.parametrize("corners", [2, 4, 5, 7])
def test_roi_that_is_no_polygon_is_refused_with_its_length(corners):
    with pytest.raises(ValueError, match=f"roi has {corners} numbers"):
        Settings(roi=(1.0,) * corners)


def test_triangle_is_a_roi():
    assert Settings(roi=(0.0, 0.0, 9.0, 0.0, 0.0, 9.0)).roi == (0.0, 0.0, 9.0, 0.0, 0.0, 9.0)


def test_replacing_a_setting_checks_again():
    with pytest.raises(ValueError, match="min_depth"):
        dataclasses.replace(Settings(), min_depth=60.0)


def test_settings_do_not_change_under_a_running_frame():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_depth = 10.0
