"""What `stereo-depth run` says of pairs that can only give wrong depth."""

import numpy as np
import pytest

from stereo_depth_ros import pictures
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_monitor import SAME_VIEW


def upright(view):
    return np.ascontiguousarray(view.transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("mistake", "line"),
    [
        (lambda left, right: (left, right), None),
        (lambda left, right: (right, left), SWAPPED),
        (lambda left, right: (left, left), SAME_VIEW),
        (lambda left, right: (left, np.roll(right, 6, axis=0)), "rows of the two views differ"),
        (lambda left, right: (upright(left), upright(right)), "one camera stands above the other"),
        (lambda left, right: (left, (right * 0.5).astype(np.uint8)), "the exposures differ"),
    ],
    ids=["right", "swapped", "identical", "unrectified", "vertical", "dark"],
)
def test_wrong_pair_gets_one_line(yard, tmp_path, capsys, mistake, line):
    files = [str(tmp_path / name) for name in ("left.png", "right.png")]
    for file, view in zip(files, mistake(yard.pair.left, yard.pair.right), strict=True):
        pictures.write_image(file, view)

    assert main(["run", *files, "--model", "sgbm", "-o", str(tmp_path / "out")]) == 0

    warnings = [text for text in capsys.readouterr().out.splitlines() if "warning" in text]
    assert len(warnings) == (line is not None)
    assert not warnings or line in warnings[0]
