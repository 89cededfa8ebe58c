"""`stereo-depth demo`, run for real: two processes over DDS, a table and pictures."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from stereo_depth_ros.cli.demo import _resolve_calibration
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.pictures import read_image, write_image

pytest.importorskip("rclpy", reason="needs ROS 2 (rclpy)")


pytestmark = pytest.mark.ros


def demo(*arguments: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "stereo_depth_ros.cli.main", "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)


def nearness(colour: np.ndarray, colour_map: int) -> int:
    """Return which of the 256 colours from far to near ``colour`` is."""
    levels = np.arange(256, dtype=np.uint8)[:, None]
    scale = cv2.applyColorMap(levels, colour_map)[:, 0, ::-1]
    return int(np.abs(scale.astype(int) - colour).sum(axis=1).argmin())


@pytest.mark.parametrize(
    ("options", "engine", "hz"),
    [((), "lite on onnxruntime", 0.1), (("--model", "sgbm"), "sgbm on opencv", 1)],
    ids=["default", "sgbm"],
)
def test_demo_measures_the_scene_and_writes_pictures_that_show_it(tmp_path, options, engine, hz):
    done = demo(*options, "-o", str(tmp_path))
    assert done.returncode == 0, done.stderr
    rates = re.findall(r"^(\S+) +([\d.]+) Hz", done.stdout, re.MULTILINE)
    assert [name for name, _ in rates] == [
        "depth/image_rect",
        "disparity",
        "confidence/image",
        "points",
    ]
    assert all(float(rate) > hz for _, rate in rates)
    error = re.search(r"EPE ([\d.]+) px, more than 2 px off ([\d.]+) %", done.stdout)
    assert float(error[1]) < 1.0
    assert float(error[2]) < 5.0
    assert float(re.search(r"density +([\d.]+) %", done.stdout)[1]) > 80.0
    assert engine in done.stdout
    pictures = {p.stem: read_image(p) for p in tmp_path.glob("*.png")}
    maps = {"disparity": cv2.COLORMAP_TURBO, "depth": cv2.COLORMAP_PLASMA}
    assert set(pictures) == {"left", *maps, "confidence", "cloud", "overview"}
    # The near green box and the far wall behind it, below a caption of 35 px.
    for name, colour_map in maps.items():
        pixels = pictures[name][355, 540], pictures[name][205, 470]
        near, far = (nearness(pixel, colour_map) for pixel in pixels)
        assert near > far + 20, name
    assert (tmp_path / "points.ply").read_bytes().startswith(b"ply\n")


def test_demo_runs_on_a_pair_of_ones_own(tmp_path, wall):
    for name in ("left", "right"):
        write_image(tmp_path / f"{name}.png", getattr(wall.pair, name))
    calibration = tmp_path / "calib.yaml"
    calibration.write_text(f"focal_px: {wall.camera.fx}\nbaseline_m: {wall.camera.baseline}\n")
    done = demo(
        *("--left", str(tmp_path / "left.png"), "--right", str(tmp_path / "right.png")),
        *("--calib", str(calibration), "-o", str(tmp_path / "out"), "--model", "sgbm"),
    )
    assert done.returncode == 0, done.stderr
    assert "no truth known" in done.stdout
    assert (tmp_path / "out" / "points.ply").stat().st_size > 100_000


def test_a_pair_without_calibration_is_refused_with_the_cure(tmp_path):
    done = demo("--left", "l.png", "--right", "r.png", "-o", str(tmp_path))
    assert done.returncode == 1
    assert "--calib" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_model_that_is_not_there_is_named_at_once(tmp_path):
    done = demo("--model", "no_such_model", "-o", str(tmp_path))
    assert done.returncode == 1
    assert "model 'no_such_model' is not known" in done.stderr
    assert "Traceback" not in done.stderr


def test_calibration_of_another_size_is_refused_before_anything_starts(tmp_path, wall):
    for name in ("left", "right"):
        write_image(tmp_path / f"{name}.png", getattr(wall.pair, name))
    height, width = wall.pair.left.shape[:2]
    calibration = tmp_path / "calib.yaml"
    calibration.write_text(f"{{fx: 100, baseline: 0.1, width: {width}, height: {height + 20}}}")
    done = demo(
        *("--left", str(tmp_path / "left.png"), "--right", str(tmp_path / "right.png")),
        *("--calib", str(calibration), "-o", str(tmp_path / "out")),
    )
    assert done.returncode == 1
    assert f"is for {width} x {height + 20} images, not {width} x {height}" in done.stderr
    assert not (tmp_path / "out" / "node.log").exists()


def test_paths_with_commas_reach_the_camera_whole(tmp_path, wall, monkeypatch):
    for name in ("left", "right"):
        write_image(tmp_path / f"{name},1.png", getattr(wall.pair, name))
    (tmp_path / "camera,1.yaml").write_text(f"{{fx: {wall.camera.fx}, baseline: 0.2}}")
    asked = []
    stand_in = SimpleNamespace(
        run_demo=lambda node, camera, folder: asked.append(camera), MAKER="demo", LOGS={}
    )
    monkeypatch.setattr("stereo_depth_ros.cli.demo.import_ros", lambda module: stand_in)
    monkeypatch.chdir(tmp_path)
    images = ["--left", "left,1.png", "--right", "right,1.png"]

    assert main(["demo", *images, "--calib", "camera,1.yaml", "-o", "out"]) == 0

    files = {key: asked[0][key] for key in ("left_file", "right_file", "calibration_file")}
    assert files == {
        "left_file": str(tmp_path / "left,1.png"),
        "right_file": str(tmp_path / "right,1.png"),
        "calibration_file": str(tmp_path / "camera,1.yaml"),
    }


@pytest.mark.parametrize(("lower", "count"), [(0, 0), (10, 1)])
def test_what_spoils_the_depth_is_logged_beside_the_table(
    tmp_path, wall, monkeypatch, caplog, capsys, lower, count
):
    for name in ("left", "right"):
        write_image(tmp_path / f"{name}.png", getattr(wall.pair, name))
    f, (height, width) = wall.camera.fx, wall.pair.left.shape[:2]
    cx, cy = (width - 1) / 2, (height - 1) / 2
    cameras = (f"cam{i}=[{f} 0 {cx}; 0 {f} {cy + i * lower}; 0 0 1]\n" for i in (0, 1))
    (tmp_path / "calib.txt").write_text("".join(cameras) + "doffs=0\nbaseline=120\n")
    stand_in = SimpleNamespace(
        run_demo=lambda node, camera, folder: "the table", MAKER="demo", LOGS={}
    )
    monkeypatch.setattr("stereo_depth_ros.cli.demo.import_ros", lambda module: stand_in)
    monkeypatch.chdir(tmp_path)
    pair = ["--left", "left.png", "--right", "right.png", "--calib", "calib.txt"]

    assert main(["demo", *pair, "-o", "out"]) == 0

    assert capsys.readouterr().out == "the table\n"
    found = [record.getMessage() for record in caplog.records]
    assert ["differs by -10.00 px" in text for text in found] == [True] * count


def test_two_calibration_files_reach_the_camera_as_two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert _resolve_calibration("l.yaml,r.yaml") == f"{tmp_path}/l.yaml,{tmp_path}/r.yaml"


@pytest.mark.parametrize("name", ["notes.txt", "left.png", "results.json"])
def test_folder_that_holds_anything_but_a_demo_is_left_as_it_is(tmp_path, capsys, name):
    (tmp_path / "node.log").write_text("of a demo that failed")
    (tmp_path / name).write_text("mine")

    assert main(["demo", "-o", str(tmp_path)]) == 1

    text = f"{tmp_path} holds {name}, no result of an earlier demo; give another folder"
    assert text in capsys.readouterr().err
    assert {file.name for file in tmp_path.iterdir()} == {"node.log", name}


def test_output_that_is_a_file_is_refused_before_anything_starts(tmp_path, capsys):
    (tmp_path / "taken").write_text("mine")

    assert main(["demo", "-o", str(tmp_path / "taken")]) == 1

    assert "taken is a file, not a folder; choose another name" in capsys.readouterr().err


def test_a_demo_that_is_terminated_ends_in_one_line(tmp_path):
    command = [sys.executable, "-m", "stereo_depth_ros.cli.main", "demo", "-o", str(tmp_path)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    log = tmp_path / "camera.log"
    # Not while a process is being started: Python reports what is raised within a fork.
    while not (log.exists() and log.read_text()) and time.monotonic() < deadline:
        time.sleep(0.05)

    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=240)

    assert (process.returncode, out) == (130, "")
    assert err == "stereo-depth demo: interrupted\n"
