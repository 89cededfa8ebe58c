import re

import numpy as np
import pytest

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.pictures import read_image


def preview(path, *arguments):
    return cli.main(["scenes", "--preview", str(path), "--size", "48x80", *arguments])


def test_sheet_shows_left_right_disparity_and_visibility(tmp_path, capsys):
    path = tmp_path / "out" / "sheet.png"

    assert preview(path, "--count", "3", "--seed", "4") == 0

    said = capsys.readouterr().out
    assert re.match(r"[\d.]+ pairs/s at 48x80 on .+, cameras included\n", said)
    assert f"written to {path}" in said
    sheet = read_image(path)
    assert sheet.shape == (3 * 24, 4 * 40, 3)
    left, right, disparity, visible = np.split(sheet.astype(int), 4, axis=1)
    assert 0 < np.abs(left - right).mean() < np.abs(left - left[::-1]).mean()
    assert np.ptp(disparity, axis=2).max() > 100
    assert (visible == visible[..., :1]).all()
    assert {0, 255} <= set(np.unique(visible))
    assert (visible == 255).mean() > 0.5


def test_seed_decides_the_sheet(tmp_path):
    for name, seed in (("first", 0), ("again", 0), ("other", 1)):
        assert preview(tmp_path / f"{name}.png", "--count", "1", "--seed", str(seed)) == 0

    first, again, other = (
        (tmp_path / f"{name}.png").read_bytes() for name in ("first", "again", "other")
    )
    assert first == again != other


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
