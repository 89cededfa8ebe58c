"""Pairs of files in, files out."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from bags import CAMERA, error_of

from stereo_depth_ros.evaluation.truth_files import read_pfm, read_png
from stereo_depth_ros.recordings.file_source import read_list

KINDS = (
    *("depth", "depth_mm", "disparity", "disparity_kitti", "disparity_pfm"),
    *("confidence", "points"),
)


def lines_of(folder):
    return [json.loads(line) for line in (folder / "frames.jsonl").read_text().splitlines()]


def test_two_folders_become_depth_in_metres(run, folders, truth, tmp_path):
    out = tmp_path / "out"

    outcome = run(folders.left, folders.right, "--calib", folders.calib, "-o", out)

    assert outcome.status == 0, outcome.err
    assert "12 pairs with depth, 0 skipped" in outcome.out
    files = sorted((out / "depth").iterdir())
    assert [file.name for file in files] == [f"{i:04d}.npy" for i in range(12)]
    assert max(error_of(np.load(file), truth) for file in files) < 0.05
    first, *records, last = lines_of(out)
    assert "source" in first["run"]
    assert [record["name"] for record in records] == [f"{i:04d}" for i in range(12)]
    assert all(0.4 < record["valid"] < 1 for record in records)
    assert last["complete"]
    page = (out / "report.html").read_text()
    assert page.count("<figure>") == 12
    assert not (out / ".work").exists()


def test_every_kind_of_file_holds_the_same_values(run, folders, tmp_path):
    out = tmp_path / "out"

    run(folders.left, folders.right, "--calib", folders.calib, "-o", out, "--outputs", *KINDS)

    depth = np.load(out / "depth/0003.npy")
    disparity = np.load(out / "disparity/0003.npy")
    known = np.isfinite(disparity)
    finite = np.isfinite(depth)
    assert finite.sum() > 5000
    np.testing.assert_allclose(
        CAMERA.fx * CAMERA.baseline / disparity[finite], depth[finite], rtol=1e-5
    )
    millimetres = cv2.imread(str(out / "depth_mm/0003.png"), cv2.IMREAD_UNCHANGED)
    assert millimetres.dtype == np.uint16
    np.testing.assert_allclose(millimetres[finite], 1000 * depth[finite], atol=0.51)
    assert (millimetres[~finite] == 0).all()
    kitti = read_png(out / "disparity_kitti/0003.png", 256.0)
    np.testing.assert_array_equal(np.isfinite(kitti), known)
    np.testing.assert_allclose(kitti[known], disparity[known], atol=1 / 256)
    np.testing.assert_array_equal(read_pfm(out / "disparity_pfm/0003.pfm"), disparity)
    np.testing.assert_array_equal(np.load(out / "confidence/0003.npy") > 0, known)
    ply = (out / "points/0003.ply").read_bytes()
    head, _, body = ply.partition(b"end_header\n")
    assert f"element vertex {finite.sum()}".encode() in head
    assert len(body) == 15 * finite.sum()


def test_workers_change_nothing(run, folders, tmp_path):
    command = (folders.left, folders.right, "--calib", folders.calib)

    assert run(*command, "-o", tmp_path / "one").status == 0
    assert run(*command, "-o", tmp_path / "two", "--workers", 2).status == 0

    for kind in ("depth", "confidence"):
        for file in (tmp_path / "one" / kind).iterdir():
            assert file.read_bytes() == (tmp_path / "two" / kind / file.name).read_bytes()


def test_without_calibration_there_is_disparity_alone(run, folders, tmp_path):
    outcome = run(folders.left, folders.right, "-o", tmp_path / "out", "--outputs", "depth")
    assert outcome.status == 1
    assert "without a calibration there is no depth: give one by --calib" in outcome.err

    outcome = run(folders.left, folders.right, "-o", tmp_path / "px")
    assert outcome.status == 0
    assert "no calibration: disparity alone; --calib gives depth\n" in outcome.out
    assert "12 pairs with disparity, 0 skipped" in outcome.out
    assert "<h1>Disparity of px</h1>" in (tmp_path / "px/report.html").read_text()
    for kind in ("disparity", "confidence"):
        assert len(list((tmp_path / "px" / kind).iterdir())) == 12
    assert not (tmp_path / "px/depth").exists()


def test_a_run_with_almost_nothing_valid_is_warned_of(run, folders, tmp_path):
    command = (folders.left, folders.right, "--calib", folders.calib, "-o")

    assert "warning" not in run(*command, tmp_path / "all").err

    outcome = run(*command, tmp_path / "none", "--confidence", 0.999)
    assert outcome.status == 0
    assert "warning: 100.0 % of the pixels have no depth" in outcome.err


def test_one_pair_is_one(run, folders, tmp_path):
    first = (tmp_path / "left/0000.png", tmp_path / "right/0000.png")

    outcome = run(*first, "--calib", folders.calib, "-o", tmp_path / "out")

    assert "\n1 pair with depth, 0 skipped" in outcome.out
    assert "\n1 pair in " in outcome.out


def test_a_damaged_image_is_named_counted_and_skipped(run, folders, tmp_path):
    damaged = tmp_path / "left/0004.png"
    damaged.write_bytes(damaged.read_bytes()[:2000])
    (tmp_path / "right/0007.png").unlink()

    out = tmp_path / "out"
    outcome = run(folders.left, folders.right, "--calib", folders.calib, "-o", out)

    assert outcome.status == 0
    assert "10 pairs with depth, 1 skipped" in outcome.out
    assert "0004.png" in outcome.out
    assert "cut off" in outcome.out
    assert "1 x left images without a right one" in outcome.out
    assert not (out / "depth/0004.npy").exists()
    assert "0004.png" in (out / "report.html").read_text()


def test_patterns_and_lists_name_pairs(run, folders, tmp_path):
    pairs = tmp_path / "pairs.txt"
    pairs.write_text("# mine\nleft/0002.png right/0002.png\nleft/0001.png, right/0001.png\n")
    assert run(pairs, "--calib", folders.calib, "-o", tmp_path / "listed").status == 0
    names = [path.name for path in sorted((tmp_path / "listed/depth").iterdir())]
    assert names == ["0001.npy", "0002.npy"]

    patterns = (tmp_path / "left/000[12].png", tmp_path / "right/000[12].png")
    assert run(*patterns, "--calib", folders.calib, "-o", tmp_path / "globbed").status == 0
    for name in names:
        listed, globbed = (tmp_path / of / "depth" / name for of in ("listed", "globbed"))
        assert listed.read_bytes() == globbed.read_bytes()


@pytest.mark.parametrize(
    "text",
    [
        'my images/a 1.png,"my images/b, 1.png"\n',
        '"my images/a 1.png", "my images/b, 1.png"\r\n',
        "\ufeffmy images/a 1.png;my images/b, 1.png;9\n",
    ],
)
def test_a_csv_list_is_read_with_its_quotes_and_spaces(tmp_path, text):
    (tmp_path / "pairs.csv").write_text(text, encoding="utf-8")

    (pair,) = read_list(tmp_path / "pairs.csv")

    assert pair.left == tmp_path / "my images/a 1.png"
    assert pair.right == tmp_path / "my images/b, 1.png"


def test_a_dataset_is_read_by_its_layout(run, views, tmp_path):
    from stereo_depth_ros.evaluation.datasets import write_plain

    mask = np.ones((CAMERA.height, CAMERA.width), bool)
    for index in range(2):
        disparity = np.ones(mask.shape, np.float32)
        write_plain(tmp_path / "data" / f"s{index}", *views[index], disparity, mask, mask)

    command = (tmp_path / "data", "--layout", "plain", "--outputs", "disparity_kitti")
    assert run(*command, "-o", tmp_path / "out").status == 0
    written = sorted(path.name for path in (tmp_path / "out/disparity_kitti").iterdir())
    assert written == ["s0.png", "s1.png"]


def test_a_complete_run_is_not_done_again_and_another_is_refused(run, folders, tmp_path):
    out = tmp_path / "out"
    command = (folders.left, folders.right, "--calib", folders.calib, "-o", out)
    run(*command)
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}

    again = run(*command)
    assert again.status == 0
    assert "12 pairs with depth" in again.out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before

    other = run(*command, "--max-depth", 5)
    assert other.status == 1
    assert f"{out} is of another run (differs in settings); give another name, or" in other.err
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_folder_that_holds_something_else_is_left_alone(run, folders, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")

    outcome = run(folders.left, folders.right, "--calib", folders.calib, "-o", out)

    assert outcome.status == 1
    assert "holds notes.txt, and no earlier run of process" in outcome.err
    assert [path.name for path in out.iterdir()] == ["notes.txt"]


def test_a_model_that_is_not_there_leaves_no_folder(folders, tmp_path, capsys):
    from stereo_depth_ros.cli.main import main

    command = ["process", folders.left, folders.right, "--calib", folders.calib]
    for workers in ("1", "2"):
        out = str(tmp_path / "out")
        assert main([*command, "-o", out, "--model", "absent", "--workers", workers]) == 1
        assert "model 'absent' is not known" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()


def test_swapped_pairs_are_refused_one_by_one(run, folders, tmp_path):
    command = (folders.right, folders.left, "--calib", folders.calib, "-o", tmp_path / "out")
    outcome = run(*command)
    assert outcome.status == 1
    assert "left and right are swapped" in outcome.err

    assert run(*command, "--no-check").status == 0


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (["absent"], "absent does not exist"),
        (["camera.yaml"], "is no recording that can be read: give a bag"),
        (["left", "empty"], "empty holds no image"),
        (["absent", "absent2"], "absent does not exist"),
        (["left", "ab[s]ent"], "ab[s]ent holds no image"),
        (["left", "right", "right"], "3 names for SOURCE; give one, or the left and the right"),
    ],
)
def test_what_is_no_recording_is_named(run, folders, tmp_path, names, text):
    (tmp_path / "empty").mkdir()
    outcome = run(*(tmp_path / name for name in names), "-o", tmp_path / "out")
    assert outcome.status == 1
    assert text in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--left", "/l"], "--left names a topic of a bag, and SOURCE is none; leave it out"),
        (["--right-info", "/r"], "--right-info names a topic of a bag, and SOURCE is none"),
        (["--split", "top-bottom"], "--split divides one video, and SOURCE is none; leave it out"),
        (
            ["--outputs", "points"],
            "a video holds no points; leave out --outputs",
        ),
    ],
)
def test_an_option_that_does_nothing_here_is_refused(run, folders, tmp_path, options, text):
    outcome = run(folders.left, folders.right, "-o", tmp_path / "out.avi", *options)
    assert outcome.status == 1
    assert text in outcome.err
    assert not (tmp_path / "out.avi").exists()
