import contextlib
import io
import re

import numpy as np
import pytest

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.pictures import read_image


def preview(path, *arguments):
    return cli.main(["scenes", "--preview", str(path), "--size", "48x80", *arguments])


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """A sheet of three scenes and what the verb said."""
    path = tmp_path_factory.mktemp("sheet") / "out" / "sheet.png"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert preview(path, "--count", "3", "--seed", "4") == 0
    return path, said.getvalue()


def test_sheet_shows_left_right_disparity_and_visibility(sheet):
    path, said = sheet

    assert re.match(r"[\d.]+ pairs/s at 48x80 on .+, cameras included\n", said)
    assert f"written to {path}" in said
    picture = read_image(path)
    assert picture.shape == (3 * 24, 4 * 40, 3)
    left, right, disparity, visible = np.split(picture.astype(int), 4, axis=1)
    assert 0 < np.abs(left - right).mean() < np.abs(left - left[::-1]).mean()
    assert np.ptp(disparity, axis=2).max() > 100
    assert (visible == visible[..., :1]).all()
    assert {0, 255} <= set(np.unique(visible))
    assert (visible == 255).mean() > 0.5


def test_seed_decides_the_sheet(sheet, tmp_path):
    for seed in ("4", "5"):
        assert preview(tmp_path / f"{seed}.png", "--count", "3", "--seed", seed) == 0

    again, other = ((tmp_path / f"{seed}.png").read_bytes() for seed in ("4", "5"))
    assert sheet[0].read_bytes() == again != other


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("a.png", ["--count", "0"], "--count is 0; give 1 or more"),
        ("a.png", ["--photos", "absent"], "no .jpg or .png below absent"),
        ("a.sheet", ["--count", "1"], "a.sheet cannot be written; end its name in .png or .jpg"),
        ("a", ["--count", "1"], "cannot be written; end its name in .png or .jpg"),
    ],
)
def test_wish_that_cannot_be_met_is_one_line(tmp_path, capsys, name, arguments, message):
    assert preview(tmp_path / name, *arguments) == 1

    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("stereo-depth scenes: ")
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())
