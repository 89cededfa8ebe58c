"""`stereo-depth bench`, run for real but briefly."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from added_models import add_graph
from fakes import save_graph

from stereo_depth_ros.artifact import find_artifact
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.engines.tensorrt.device import find_device
from stereo_depth_ros.measurements import read_speed


def bench(*arguments: str) -> subprocess.CompletedProcess:
    pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")
    command = [sys.executable, "-m", "stereo_depth_ros.cli.main", "bench", "--node", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def test_models_are_timed_side_by_side(tmp_path, capsys):
    file = tmp_path / "figures.json"
    arguments = ["--model", "sgbm", "--model", "sgbm_hh", "--size", "120x160", "--rounds", "3"]
    assert main(["bench", *arguments, "--json", str(file)]) == 0
    figures = json.loads(file.read_text())
    first, second = figures["timings"]
    assert (first["model"], first["width"], first["height"]) == ("sgbm", 160, 120)
    assert first["ratio"] == [1.0, 1.0, 1.0]
    assert second["ratio"] == sorted(second["ratio"])
    assert second["ratio"][0] > 0.0
    printed = capsys.readouterr().out
    assert "relative to sgbm" in printed
    for key in ("machine", "cpu", "gpu", "driver", "package", "commit"):
        assert f"- {key}: {figures['machine'][key]}" in printed


def test_model_that_is_timed_where_none_is_named_has_its_own_name(tmp_path):
    file = tmp_path / "figures.json"
    arguments = ["--rounds", "1", "--json", str(file)]

    def models(*more):
        assert main(["bench", *arguments, *more]) == 0
        return [timing["model"] for timing in json.loads(file.read_text())["timings"]]

    assert models("--backend", "auto", "--backend", "opencv") == ["lite, auto", "sgbm, opencv"]
    assert models("--size", "48x64", "--backend", "opencv") == ["sgbm"]


def test_times_of_installed_models_are_kept_and_those_of_files_are_not(models_home, tmp_path):
    add_graph("net")
    file, graph = tmp_path / "figures.json", save_graph(tmp_path / "file.onnx", 64, 48)
    arguments = ["--size", "48x64", "--rounds", "2", "--json", str(file)]
    models = ["--model", "net", "--model", str(graph), "--backend", "auto", "--backend"]

    assert main(["bench", *models, "onnxruntime", *arguments]) == 0

    timings = json.loads(file.read_text())["timings"]
    speed = read_speed(find_artifact("net"))
    medians = [t["inference"][1] for t in timings if t["model"].startswith("net, ")]
    assert len(medians) == 2
    assert (speed.ms, speed.width, speed.height) == (min(medians), 64, 48)
    kept = json.loads((models_home / "measurements.json").read_text())["speed"]
    assert set(kept) == {"net"}


def test_time_of_auto_is_that_of_the_model_that_it_is(models_home):
    assert main(["bench", "--rounds", "1", "--backend", "opencv", "--size", "48x64"]) == 0

    assert read_speed(find_artifact("sgbm")).ms > 0.0
    assert read_speed(find_artifact("lite")) is None


def test_figures_that_cannot_be_written_are_refused_before_the_work(tmp_path, capsys):
    file = tmp_path / "absent" / "figures.json"
    assert main(["bench", "--rounds", "1", "--size", "48x64", "--json", str(file)]) == 1
    printed = capsys.readouterr()
    assert f"make the folder {tmp_path / 'absent'} first" in printed.err
    assert printed.out == ""


def test_a_graph_is_timed_on_every_backend_that_is_named(tmp_path):
    graph, file = save_graph(tmp_path / "net.onnx", 64, 48), tmp_path / "figures.json"
    arguments = ["--backend", "auto", "--backend", "onnxruntime", "--size", "48x64"]

    arguments += ["--model", str(graph), "--rounds", "2", "--json", str(file)]
    assert main(["bench", *arguments]) == 0

    models = [timing["model"] for timing in json.loads(file.read_text())["timings"]]
    assert models == [f"{graph}, auto", f"{graph}, onnxruntime"]


def test_size_that_a_graph_does_not_take_is_refused(tmp_path, capsys):
    graph = save_graph(tmp_path / "net.onnx", 64, 48)

    assert main(["bench", "--model", str(graph), "--size", "24x32"]) == 1

    assert "takes 64 x 48 images, not 32 x 24" in capsys.readouterr().err


def test_modes_of_tensorrt_need_a_gpu_and_say_so(tmp_path, capsys):
    try:
        find_device()
    except EngineError:
        graph = save_graph(tmp_path / "net.onnx", 64, 48)
        assert main(["bench", "--model", str(graph), "--tensorrt-modes"]) == 1
        assert "no NVIDIA driver" in capsys.readouterr().err
    else:
        pytest.skip("there is a GPU")


@pytest.mark.parametrize("size", ["480", "480x", "x640", "480*640"])
def test_a_size_that_is_none_is_refused(size, capsys):
    with pytest.raises(SystemExit):
        main(["bench", "--size", size])
    assert "not HxW" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--seconds=0", "--seconds=-3", "--seconds=nan", "--soak=-1"])
def test_a_duration_that_measures_nothing_is_a_usage_error(option, capsys):
    with pytest.raises(SystemExit) as exit_:
        main(["bench", "--node", option])
    assert exit_.value.code == 2
    assert re.search(r"--(seconds|soak): '.*' is not a number from", capsys.readouterr().err)


@pytest.mark.slow
@pytest.mark.ros
def test_bench_reports_every_stage_size_and_transport(tmp_path):
    file = tmp_path / "figures.json"
    done = bench("--model", "sgbm", "--seconds", "3", "--json", str(file))
    assert done.returncode == 0, done.stderr
    figures = json.loads(file.read_text())
    runs = {(r["size"], r["outputs"]): r for r in figures["runs"]}
    assert set(runs) == {(s, o) for s in ("640x480", "1280x720") for o in ("depth", "all")}
    for (_, outputs), run in runs.items():
        assert run["frames"] > 3
        assert {"decode", "inference", "depth", "publish"} <= set(run["stages"])
        assert ("points" in run["stages"]) == (outputs == "all")
        assert 0 < run["own"][0] < run["overhead"][0] < run["stamp_to_publish"][0]
        assert run["memcpy"] > 0
    shipped = [d for d in figures["deliveries"] if d["transport"] == "shipped"]
    assert len(shipped) == len(figures["deliveries"]) / 2 == 4
    assert all(d["received"] > 0.5 * d["sent"] for d in shipped)
    assert "640x480 | depth" in done.stdout


@pytest.mark.ros
def test_a_soak_shorter_than_its_first_minute_is_refused():
    done = bench("--soak", "1")
    assert done.returncode == 1
    assert "2 minutes" in done.stderr
