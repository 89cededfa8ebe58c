"""The sky that is claimed near and the thin structures that are missed, from pair to report."""

from __future__ import annotations

import json

import numpy as np
import pytest
from fakes import EncodedEngine, encode

from stereo_depth_ros.evaluation.datasets import read_dataset, write_plain
from stereo_depth_ros.evaluation.evaluate import evaluate
from stereo_depth_ros.evaluation.metrics import Share
from stereo_depth_ros.evaluation.report import as_dict, as_text, fault_medians
from stereo_depth_ros.evaluation.truth_files import DatasetError

HEIGHT, WIDTH = 100, 200
SKY, POLE = np.s_[:10, :], np.s_[40:, 60:63]


def write(root, name, *, claimed=0, missed=0, sky_rows=10, pole=True):
    """A wall at 20 px with a pole at 40 px, below a sky of which no truth is known.

    The engine claims ``claimed`` columns of the sky, some more unsurely, and answers 20 px for
    ``missed`` rows of the pole.
    """
    truth = np.full((HEIGHT, WIDTH), 20.0, np.float32)
    sky = np.zeros(truth.shape, bool)
    sky[:sky_rows] = True
    if pole:
        truth[POLE] = 40
    answer, confidence = np.where(sky, 2.0, truth), np.ones(truth.shape)
    answer[:sky_rows, : claimed + 30] = 50
    confidence[:sky_rows, claimed : claimed + 30] = 0.2
    answer[40 : 40 + missed, 60:63] = 20
    truth[sky] = np.nan
    right = np.zeros((*truth.shape, 3), np.uint8)
    write_plain(root / name, encode(answer, confidence), right, truth, ~sky, sky)


def scored(root):
    return evaluate({"m": EncodedEngine()}, read_dataset(root, "plain"))


def test_faults_are_shares_of_the_sky_and_of_the_pole(tmp_path):
    write(tmp_path, "a", claimed=50, missed=15)
    (score,) = scored(tmp_path)

    assert score.sky == Share(2000, pytest.approx(25.0))
    assert score.thin == Share(180, pytest.approx(25.0))
    # As without a mask of the sky: it takes no part in what is scored against the truth.
    assert score.filled.pixels == HEIGHT * WIDTH - 2000
    assert score.filled.bad[2.0] == pytest.approx(100 * 45 / 18000)


def test_pole_before_a_sky_without_truth_is_thin(tmp_path):
    write(tmp_path, "a", sky_rows=0, pole=False)
    truth, sky = np.full((HEIGHT, WIDTH), np.nan, np.float32), np.ones((HEIGHT, WIDTH), bool)
    truth[POLE], sky[POLE] = 20, False
    np.save(tmp_path / "a" / "disp.npy", truth)
    assert scored(tmp_path)[0].thin is None

    np.save(tmp_path / "a" / "sky.npy", sky)
    assert scored(tmp_path)[0].thin == Share(180, 0.0)


def test_pair_without_sky_or_thin_structures_has_neither_figure(tmp_path):
    write(tmp_path, "a", sky_rows=0, pole=False)
    (score,) = scored(tmp_path)
    assert (score.sky, score.thin) == (None, None)

    (tmp_path / "a" / "sky.npy").unlink()
    (score,) = scored(tmp_path)
    assert (score.sky, score.thin) == (None, None)


def test_mask_of_another_size_is_refused_and_named(tmp_path):
    write(tmp_path, "a")
    np.save(tmp_path / "a" / "sky.npy", np.ones((3, 4), bool))

    with pytest.raises(DatasetError, match=r"a: left 100x200, .*, sky 3x4; they must have one si"):
        scored(tmp_path)


def test_medians_are_over_the_pairs_with_enough_of_it(tmp_path):
    for name, claimed in (("a", 20), ("b", 60), ("c", 100)):
        write(tmp_path, name, claimed=claimed)
    write(tmp_path, "d", claimed=160, sky_rows=1)  # all of 200 px but 40
    scores = scored(tmp_path)

    # 10, 30, 50 and 80 %; each pole has 180 px
    assert fault_medians(scores, "m") == {"sky": pytest.approx(40.0), "thin": None}
    sky = np.load(tmp_path / "d" / "sky.npy")
    sky[0, 0] = False
    np.save(tmp_path / "d" / "sky.npy", sky)
    assert fault_medians(scored(tmp_path), "m") == {"sky": pytest.approx(30.0), "thin": None}


def test_reports_end_in_the_two_columns(tmp_path):
    write(tmp_path, "a", claimed=50, missed=15)
    write(tmp_path, "b", sky_rows=0)
    scores = scored(tmp_path)

    lines = as_text(scores).splitlines()
    assert lines[0].endswith(" | AUC | sky | thin |")
    assert lines[2].startswith("| m | filled | ")
    assert lines[2].endswith(" | 25.00 | - |")
    assert lines[3].startswith("| m | raw | ")
    assert lines[3].endswith(" |  |  |")
    each = lines[lines.index("") + 1 :]
    assert each[0].endswith(" | density | sky | thin |")
    assert [line.split(" | ")[0] for line in each[2:]] == ["| a", "| b"]
    assert each[2].endswith(" | 100.00 | 25.00 | - |")
    assert each[3].endswith(" | 100.00 | - | - |")

    found = json.loads(json.dumps(as_dict(scores)))
    assert found["columns"][-1] == "density"
    assert found["faults"] == {"m": {"sky": 25.0, "thin": None}}
    assert found["scores"][0]["thin"] == {"pixels": 180, "percent": 25.0}
    assert found["scores"][1]["sky"] is None
