"""Videos in, videos out."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from bags import CAMERA, error_of

from stereo_depth_ros.recordings.rig import Rig
from stereo_depth_ros.recordings.video_source import VideoSource


def write_video(path, images, rate=20.0):
    """Write images losslessly, so that depth is that of the images."""
    codec = cv2.VideoWriter_fourcc(*"FFV1")
    video = cv2.VideoWriter(str(path), codec, rate, images[0].shape[1::-1])
    assert video.isOpened()
    for image in images:
        video.write(np.ascontiguousarray(image[..., ::-1]))
    video.release()
    return path


def write_source(views, tmp_path, form):
    if form == "two videos":
        return [
            write_video(tmp_path / f"{name}.avi", [pair[side] for pair in views])
            for side, name in enumerate(("left", "right"))
        ]
    join = np.hstack if form == "side-by-side" else np.vstack
    return [write_video(tmp_path / "both.avi", [join(pair) for pair in views])]


@pytest.mark.parametrize("form", ["two videos", "side-by-side", "top-bottom"])
def test_the_views_of_a_video_become_depth(run, views, truth, folders, tmp_path, form):
    source = write_source(views[:6], tmp_path, form)

    outcome = run(*source, "--calib", folders.calib, "-o", tmp_path / "out")

    assert outcome.status == 0, outcome.err
    assert "6 pairs with depth, 0 skipped" in outcome.out
    depths = [np.load(path) for path in sorted((tmp_path / "out/depth").iterdir())]
    assert len(depths) == 6
    assert max(error_of(depth, truth) for depth in depths) < 0.06


def test_a_shape_that_tells_nothing_asks_for_the_split(run, views, tmp_path):
    wide = [np.hstack([pair[0][:, :100], pair[1][:, :100]]) for pair in views[:2]]
    (source,) = [write_video(tmp_path / "both.avi", wide)]

    outcome = run(source, "-o", tmp_path / "out", "--outputs", "disparity")
    assert outcome.status == 1
    assert "say it by --split side-by-side or --split top-bottom" in outcome.err

    frames = list(VideoSource([source], Rig(), "side-by-side"))
    assert [frame.left.shape for frame in frames] == [(120, 100, 3)] * 2
    assert [frame.stamp_ns for frame in frames] == [0, 50_000_000]


def test_the_longer_of_two_videos_is_cut(views, tmp_path):
    left = write_video(tmp_path / "l.avi", [pair[0] for pair in views[:3]])
    right = write_video(tmp_path / "r.avi", [pair[1] for pair in views[:5]])

    source = VideoSource([left, right], Rig())
    assert len(list(source)) == 3
    assert source.losses == {"frames of the longer video": 2}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_video_of_depth_has_one_scale(run, folders, truth, tmp_path, workers):
    command = (folders.left, folders.right, "--calib", folders.calib, "--workers", workers)

    outcome = run(*command, "-o", tmp_path / "depth.avi")

    assert outcome.status == 0, outcome.err
    video = cv2.VideoCapture(str(tmp_path / "depth.avi"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 12
    assert video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    frames = [video.read()[1].astype(int) for _ in range(12)]
    assert frames[0].shape == (CAMERA.height, CAMERA.width, 3)
    near = np.isfinite(truth) & (truth < 2)
    far = np.isfinite(truth) & (truth > 9) & (truth < 15)
    for frame in frames:
        # Yellow is near, blue is far; the pictures are BGR.
        assert np.median(frame[near][:, 2]) > 200 > np.median(frame[far][:, 2])
    left = {path.name for path in tmp_path.iterdir()}
    assert {"depth.avi", "depth.frames.jsonl", "depth.report.html"} <= left
    assert not any("work" in name for name in left)


def test_a_video_without_calibration_shows_disparity(run, folders, tmp_path):
    outcome = run(folders.left, folders.right, "-o", tmp_path / "px.avi")
    assert outcome.status == 0
    assert "12 pairs with disparity, 0 skipped" in outcome.out
    video = cv2.VideoCapture(str(tmp_path / "px.avi"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 12


def test_a_file_that_is_no_video_is_named(run, tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"nonsense" * 99)
    outcome = run(tmp_path / "broken.mp4", "-o", tmp_path / "out")
    assert outcome.status == 1
    assert "broken.mp4 is no video that OpenCV reads" in outcome.err


def test_another_run_into_a_video_is_refused_and_leaves_nothing(run, views, folders, tmp_path):
    (source,) = write_source(views[:2], tmp_path, "side-by-side")
    out = tmp_path / "v1.avi"
    assert run(source, "-o", out, "--calib", folders.calib).status == 0
    before = sorted(tmp_path.iterdir())

    outcome = run(source, "-o", out)

    assert outcome.status == 1
    assert outcome.err == (
        f"stereo-depth process: {out} is of another run (differs in calibration); give another "
        f"name, or remove it and {tmp_path / 'v1.frames.jsonl'}\n"
    )
    assert sorted(tmp_path.iterdir()) == before
