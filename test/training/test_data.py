from pathlib import Path

import pytest

from stereo_depth_ros.training.data import DataPart, parse_data


@pytest.mark.parametrize(
    ("text", "part", "shown"),
    [
        ("scenes", DataPart("scenes", None, 1.0), "scenes"),
        ("scenes:3", DataPart("scenes", None, 3.0), "scenes:3"),
        ("plain=a/b c", DataPart("plain", Path("a/b c"), 1.0), "plain=b c"),
        ("kitti=/d/k:0.5", DataPart("kitti", Path("/d/k"), 0.5), "kitti=k:0.5"),
        ("eth3d=C:/pairs", DataPart("eth3d", Path("C:/pairs"), 1.0), "eth3d=pairs"),
    ],
)
def test_data_is_read_as_it_is_written(text, part, shown):
    assert parse_data(text) == part
    assert str(part) == shown
    assert parse_data(str(part)).weight == part.weight


@pytest.mark.parametrize("text", ["", "kitti15=DIR", "pairs", "plain=", "scenes:", "scenes=DIR"])
def test_other_data_is_refused_with_what_there_is(text):
    with pytest.raises(ValueError, match=f"data is '{text}'; give scenes or LAYOUT=DIR.*plain, "):
        parse_data(text)


def test_data_of_no_weight_is_refused():
    with pytest.raises(ValueError, match="its weight must be above 0"):
        parse_data("scenes:0")
