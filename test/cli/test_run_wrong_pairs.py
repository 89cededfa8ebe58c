"""What `stereo-depth run` says of pairs that can only give wrong depth."""

import numpy as np
import pytest

from stereo_depth_ros import pictures
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_monitor import SAME_VIEW


def upright(view):
    return np.ascontiguousarray(view.transpose(1, 0, 2))


@pytest.fixture
def match(tmp_path):
    """Runs the verb on two views; returns its status, and whether it wrote results."""

    def run(left, right, *options):
        files = [str(tmp_path / name) for name in ("left.png", "right.png")]
        for file, view in zip(files, (left, right), strict=True):
            pictures.write_image(file, view)
        out = tmp_path / "out"
        status = main(["run", *files, "--model", "sgbm", *options, "-o", str(out)])
        return status, (out / "disparity.npy").exists()

    return run


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        (lambda left, right: (left, right), None),
        (lambda left, right: (left, np.roll(right, 6, axis=0)), "rows of the two views differ"),
        (lambda left, right: (upright(left), upright(right)), "one camera stands above the other"),
        (lambda left, right: (left, (right * 0.5).astype(np.uint8)), "the exposures differ"),
    ],
    ids=["right", "unrectified", "vertical", "dark"],
)
def test_pair_that_spoils_depth_gets_one_line(yard, match, caplog, mistake, line):
    assert match(*mistake(yard.pair.left, yard.pair.right)) == (0, True)

    assert len(caplog.messages) == (line is not None)
    assert line is None or line in caplog.messages[0]


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        (lambda left, right: (right, left), f"{SWAPPED}; or the cameras converge: give their"),
        (lambda left, right: (left, left), SAME_VIEW),
    ],
    ids=["swapped", "identical"],
)
def test_pair_that_can_only_give_wrong_depth_is_refused_unless_one_insists(
    yard, match, capsys, mistake, line
):
    views = mistake(yard.pair.left, yard.pair.right)

    assert match(*views) == (1, False)

    text = capsys.readouterr().err
    assert text.startswith(f"stereo-depth run: {line}")
    assert text.endswith(". --no-check matches them all the same\n")
    assert text.count("\n") == 1
    assert match(*views, "--no-check") == (0, True)
