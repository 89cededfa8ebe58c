from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from stereo_depth_ros.cli.options import check_output_file, make_number_parser, parse_size
from stereo_depth_ros.errors import InputError


def test_size_is_height_and_width():
    assert parse_size("480x640") == (480, 640)
    assert parse_size("16384x1") == (16384, 1)


@pytest.mark.parametrize("text", ["480", "480x", "x640", "480*640", "0x640", "-1x2", "480x640x3"])
def test_text_that_is_no_size_is_refused(text):
    with pytest.raises(ArgumentTypeError, match="is not HxW, such as 480x640"):
        parse_size(text)


@pytest.mark.parametrize("text", ["99999x64", "64x16385", "1" * 5000 + "x64"])
def test_size_beyond_any_camera_is_refused_with_the_limit(text):
    with pytest.raises(ArgumentTypeError) as error:
        parse_size(text)

    assert "is too large: height and width are 1 to 16384 px" in str(error.value)
    assert len(str(error.value)) < 2000


def test_number_within_its_limits_is_of_its_kind():
    assert make_number_parser(float, 0.5, 2)("0.5") == 0.5
    assert make_number_parser(int, 0, 2)("2") == 2


@pytest.mark.parametrize(
    ("kind", "text"), [(float, "2.1"), (float, "nan"), (float, "two"), (int, "1.0"), (int, "-1")]
)
def test_number_of_another_kind_or_beyond_its_limits_is_refused(kind, text):
    with pytest.raises(ArgumentTypeError, match=f"'{text}' is not a .*number from 0 to 2"):
        make_number_parser(kind, 0, 2)(text)


def test_file_that_is_there_can_be_written_again(tmp_path):
    (tmp_path / "figures.json").write_text("{}")

    check_output_file(tmp_path / "figures.json")
    check_output_file(None)


@pytest.mark.parametrize("name", ["left.png", "report", "report.html"])
def test_file_of_another_kind_is_no_output(name, tmp_path):
    with pytest.raises(InputError, match=rf"{name} cannot be written; end its name in \.json"):
        check_output_file(tmp_path / name, ".json")

    check_output_file(tmp_path / "report.JSON", ".json")
    check_output_file(Path("/dev/null"), ".json")
    check_output_file(None, ".json")
