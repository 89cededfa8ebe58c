import contextlib
import io
import json
import re

import cv2
import numpy as np
import pytest

from stereo_depth_ros.cli import main as cli
from stereo_depth_ros.evaluation.datasets import read_dataset
from stereo_depth_ros.evaluation.sample import digest_of
from stereo_depth_ros.pictures import read_image

COLUMNS = (0, 330, 660, 990)
CONTENT = slice(26, 26 + 192)
"""Where the pictures of a row lie, 24 x 40 px enlarged eightfold, below their captions."""


def preview(path, *arguments):
    return cli.main(["scenes", "--preview", str(path), "--size", "48x80", *arguments])


@pytest.fixture(scope="module")
def sheet(tmp_path_factory):
    """A sheet of three scenes and what the verb said."""
    path = tmp_path_factory.mktemp("sheet") / "sheet.png"
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        assert preview(path, "--count", "3", "--seed", "4") == 0
    return path, said.getvalue()


def test_sheet_shows_left_right_disparity_and_visibility(sheet):
    path, said = sheet

    assert re.match(r"[\d.]+ pairs/s at 48x80 on the CPU, textures and cameras included\n", said)
    assert f"written to {path}" in said
    rows = np.split(read_image(path), 3)
    for row in rows:
        # Four panels of 320 px and the gaps between them.
        assert row.shape[1] == 4 * 320 + 3 * 10
        left, right, disparity, visible = (row[CONTENT, x : x + 320] for x in COLUMNS)
        left, right = left.astype(int), right.astype(int)
        assert 0 < np.abs(left - right).mean() < np.abs(left - left[::-1]).mean()
        assert np.ptp(disparity.astype(int), axis=2).max() > 100
        assert {40, 208} <= set(np.unique(visible[..., 0]))
        assert (visible[..., 0] == 208).mean() > 0.5


def test_written_pairs_are_those_of_the_sheet_and_can_be_scored(sheet, tmp_path, capsys):
    data, again, found = tmp_path / "data", tmp_path / "again.png", tmp_path / "found.json"
    arguments = ["--write", str(data), "--count", "12", "--seed", "4"]
    assert preview(again, *arguments) == 0
    said = capsys.readouterr()
    assert f"written to {again}\nwritten to {data}\n" in said.out
    assert "12/12" in said.err
    rows = np.split(read_image(again), 12)
    np.testing.assert_array_equal(np.vstack(rows[:3]), read_image(sheet[0]))

    samples = read_dataset(data, "plain")
    assert [sample.name for sample in samples] == [f"{index:05d}" for index in range(12)]
    for sample, row in zip(samples, rows, strict=True):
        halved = cv2.resize(sample.images()[0], (40, 24), interpolation=cv2.INTER_AREA)
        np.testing.assert_array_equal(row[CONTENT, :320][::8, ::8], halved)
        assert sample.truth().shape == (48, 80)
        np.testing.assert_array_equal(sample.sky(), sample.truth() == 0)

    scored = ["evaluate", "--data", str(data), "--layout", "plain", "--json", str(found)]
    assert cli.main(scored) == 0
    scores = json.loads(found.read_text())["scores"]
    skies = {sample.name: int(sample.sky().sum()) for sample in samples}
    assert max(skies.values()) > 0
    for score in scores:
        assert (score["sky"] or {"pixels": 0})["pixels"] == skies[score["sample"]]
        # Of the sky, too, the truth is known.
        assert score["filled"]["pixels"] == 48 * 80


def test_pairs_do_not_depend_on_how_many_are_written(tmp_path):
    for name, count in (("one", "1"), ("two", "2")):
        arguments = ["scenes", "--write", str(tmp_path / name), "--size", "48x80", "--seed", "4"]
        assert cli.main([*arguments, "--count", count]) == 0

    one, two = (read_dataset(tmp_path / name, "plain") for name in ("one", "two"))
    assert (len(one), len(two)) == (1, 2)
    assert digest_of(one) == digest_of(two[:1]) != digest_of(two[1:])
    assert not list(tmp_path.glob("*.png"))


def test_folder_that_holds_something_is_left_as_it_is(tmp_path, capsys):
    (tmp_path / "note.txt").write_text("mine")
    assert cli.main(["scenes", "--write", str(tmp_path), "--count", "1"]) == 1
    assert "is not empty, and its files would be scored too" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]

    assert cli.main(["scenes", "--write", str(tmp_path / "note.txt"), "--count", "1"]) == 1
    assert "note.txt is a file, not a folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["absent/a.png", "note.txt/a.png"])
def test_sheet_in_a_folder_that_is_none_is_refused_before_anything_is_made(tmp_path, capsys, name):
    (tmp_path / "note.txt").write_text("mine")

    assert preview(tmp_path / name, "--count", "1") == 1

    folder = (tmp_path / name).parent
    assert f"cannot be written: make the folder {folder} first" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["note.txt"]


def test_nothing_to_write_is_one_line(capsys):
    assert cli.main(["scenes"]) == 1

    error = capsys.readouterr().err
    assert error == (
        "stereo-depth scenes: nothing to write; give --preview FILE.png, --write DIR, or both\n"
    )


def test_another_seed_gives_another_sheet(sheet, tmp_path):
    assert preview(tmp_path / "other.png", "--count", "1", "--seed", "5") == 0

    other = read_image(tmp_path / "other.png")[CONTENT]
    assert (other != read_image(sheet[0])[CONTENT]).any()


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("a.png", ["--count", "0"], "--count is 0; give 1 or more"),
        ("a.png", ["--seed", "-1"], "--seed is -1; give 0 or more"),
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
