from __future__ import annotations

import json

import numpy as np
import pytest
from added_models import add_graph
from fakes import encode, save_graph

from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.evaluation.report import COLUMNS
from stereo_depth_ros.evaluation.terms import MEANINGS
from stereo_depth_ros.measurements import read_accuracies
from stereo_depth_ros.pictures import write_image


@pytest.fixture
def dataset(tmp_path, yard):
    """Two samples: the yard, and an image that tells a fake network a disparity of 25 px."""
    for name, left, right, truth in (
        ("yard", yard.pair.left, yard.pair.right, yard.pair.disparity),
        (
            "encoded",
            encode(np.full((120, 160), 25.0), 0.5),
            np.zeros((120, 160, 3), np.uint8),
            np.full((120, 160), 24.0, np.float32),
        ),
    ):
        folder = tmp_path / "data" / name
        folder.mkdir(parents=True)
        write_image(folder / "left.png", left)
        write_image(folder / "right.png", right)
        np.save(folder / "disp.npy", truth)
    np.save(tmp_path / "data" / "yard" / "nonocc.npy", yard.pair.visible)
    np.save(tmp_path / "data" / "yard" / "sky.npy", np.isinf(yard.pair.depth))
    return tmp_path / "data"


def test_models_are_scored_beside_sgbm_in_text_json_and_html(dataset, tmp_path, capsys):
    model = save_graph(tmp_path / "m.onnx", 160, 120)
    found, page = tmp_path / "e.json", tmp_path / "e.html"
    arguments = ["evaluate", "--model", str(model), "--data", str(dataset), "--layout", "plain"]
    assert main([*arguments, "--json", str(found), "--html", str(page)]) == 0
    scores = {(s["sample"], s["model"]): s for s in json.loads(found.read_text())["scores"]}
    assert set(scores) == {
        (s, m) for s in ("encoded", "yard") for m in (str(model), "sgbm", "sgbm_hh")
    }
    exact = scores["encoded", str(model)]
    assert exact["filled"]["epe"] == pytest.approx(1.0)
    assert (exact["filled"]["bad"]["0.5"], exact["filled"]["bad"]["1.0"]) == (100.0, 0.0)
    yard = scores["yard", "sgbm"]
    assert yard["filled_nonocc"]["pixels"] < yard["filled"]["pixels"] == 320 * 240
    assert yard["raw"]["epe"] < yard["filled"]["epe"]
    assert yard["raw"]["density"] < 100.0 == yard["filled"]["density"]
    assert yard["ause_relative"] < 0.6
    assert yard["sky"]["pixels"] == np.load(dataset / "yard" / "sky.npy").sum() > 200
    assert yard["sky"]["percent"] < 5
    assert exact["sky"] is exact["thin"] is None
    assert page.read_text().startswith("<!doctype html>")
    text = capsys.readouterr().out
    assert "| sgbm_hh | raw |" in text
    assert "| sgbm_hh | raw, non-occluded |" in text
    assert "| AUC | sky | thin |" in text


def test_two_graphs_of_one_network_are_told_apart(dataset, tmp_path):
    models = [str(save_graph(tmp_path / name, 160, 120)) for name in ("m.onnx", "n.onnx")]
    found = tmp_path / "e.json"
    named = [word for model in models for word in ("--model", model)]

    arguments = ["evaluate", *named, "--data", str(dataset), "--layout", "plain"]
    assert main([*arguments, "--json", str(found)]) == 0

    assert list(json.loads(found.read_text())["medians"]) == [*models, "sgbm", "sgbm_hh"]


@pytest.mark.parametrize(("backend", "name"), [("auto", "lite"), ("opencv", "sgbm")])
def test_auto_is_scored_under_its_own_name(dataset, tmp_path, backend, name):
    found = tmp_path / "e.json"
    arguments = ["evaluate", "--model", "auto", "--backend", backend, "--data", str(dataset)]

    assert main([*arguments, "--layout", "plain", "--json", str(found)]) == 0

    medians = json.loads(found.read_text())["medians"]
    assert list(medians) == list(dict.fromkeys([name, "sgbm", "sgbm_hh"]))


def test_a_truth_of_another_size_is_refused(dataset, capsys):
    np.save(dataset / "yard" / "disp.npy", np.ones((3, 4), np.float32))
    assert main(["evaluate", "--data", str(dataset), "--layout", "plain"]) == 1
    assert "one size" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--json", "--html"])
def test_a_result_that_cannot_be_written_is_refused_before_the_work(
    dataset, tmp_path, capsys, monkeypatch, option
):
    def work(*arguments):
        raise AssertionError("worked first")

    monkeypatch.setattr("stereo_depth_ros.cli.evaluate.read_dataset", work)
    arguments = ["evaluate", "--data", str(dataset), "--layout", "plain", option]
    assert main([*arguments, str(tmp_path / "absent" / "result")]) == 1
    assert f"make the folder {tmp_path / 'absent'} first" in capsys.readouterr().err
    assert main([*arguments, str(tmp_path)]) == 1
    assert "is a folder; name a file in it" in capsys.readouterr().err


def test_help_explains_every_figure(capsys):
    with pytest.raises(SystemExit):
        main(["evaluate", "--help"])

    text = " ".join(capsys.readouterr().out.split())
    for name, meaning in MEANINGS.items():
        assert f"{name}: {meaning}" in text


# -- what is kept of it ----------------------------------------------------------------------------


def test_what_is_measured_of_installed_models_is_kept_and_of_files_is_not(
    dataset, models_home, tmp_path
):
    add_graph("net", 160, 120)
    file = str(save_graph(tmp_path / "m.onnx", 160, 120))
    table = tmp_path / "e.json"
    arguments = ["evaluate", "--model", "net", "--model", file, "--data", str(dataset)]

    assert main([*arguments, "--layout", "plain", "--json", str(table)]) == 0

    medians = json.loads(table.read_text())["medians"]
    pairs = set()
    for name in ("net", "sgbm", "sgbm_hh"):
        accuracy = read_accuracies(find_artifact(name))[0]
        assert accuracy.on == "2 pairs, medians, guesses counted"
        median = dict(zip(COLUMNS, medians[name]["filled"], strict=True))
        assert accuracy.epe == pytest.approx(median["EPE"], abs=1e-3)
        assert accuracy.bad2 == pytest.approx(median["bad-2"], abs=1e-2)
        pairs.add(accuracy.pairs)
    assert len(pairs) == 1
    kept = json.loads((models_home / "measurements.json").read_text())["accuracy"]
    assert set(kept) == {"net", "sgbm", "sgbm_hh"}


def test_two_commands_make_auto_the_better_model(dataset, models_home, capsys):
    """On the pair that tells the graph its answer, which lite cannot know."""
    for path in (dataset / "yard").iterdir():
        path.unlink()
    (dataset / "yard").rmdir()
    add_graph("net", 160, 120)
    assert open_engine("auto").spec.name == "lite"
    models = ["--model", "lite", "--model", "net"]

    assert main(["evaluate", *models, "--data", str(dataset), "--layout", "plain"]) == 0
    assert open_engine("auto").spec.name == "lite", "its time is not known"
    assert main(["bench", "--model", "net", "--size", "120x160", "--rounds", "3"]) == 0

    spec = open_engine("auto").spec
    assert spec.name == "net"
    assert "net is the most accurate that was measured to keep 100 ms here" in str(spec)
    capsys.readouterr()
    assert main(["models"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line]
    rows = {cells[0]: cells for cells in reversed(lines)}  # a sentence comes after the table
    assert rows["net"][1] == "1.00"
    assert float(rows["lite"][1]) > 1.0


def test_folder_of_models_that_cannot_be_written_spoils_no_evaluation(
    dataset, tmp_path, monkeypatch, capsys, caplog
):
    (tmp_path / "file").touch()
    monkeypatch.setenv("STEREO_DEPTH_MODELS", str(tmp_path / "file" / "models"))

    assert main(["evaluate", "--data", str(dataset), "--layout", "plain"]) == 0

    assert "| sgbm | raw |" in capsys.readouterr().out
    assert all(text.startswith("what was measured is not kept: ") for text in caplog.messages)
    assert caplog.messages
