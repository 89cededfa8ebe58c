import json
import re
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import save_graph
from numpy.testing import assert_allclose, assert_array_equal

from stereo_depth_ros import pictures
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.engines import open_engine
from stereo_depth_ros.outputs import Output
from stereo_depth_ros.pipeline import StereoPipeline
from stereo_depth_ros.scenes.planar import plane_scene, render
from stereo_depth_ros.settings import Settings

MATCHES = {"disparity.npy", "disparity.png", "confidence.npy", "confidence.png"}
MATCHES |= {"overview.png", "results.json"}
METRIC = {"depth.npy", "depth.png", "points.ply", "cloud.png"}
RUN = ("run", "--model", "sgbm")
"""What most tests expect is by value, and needs no network."""


def calibration(camera):
    return (
        f"{{focal_px: {camera.fx}, baseline_m: {camera.baseline}, cx: {camera.cx}, "
        f"cy: {camera.cy}, doffs_px: {camera.cx_right - camera.cx}}}"
    )


@pytest.fixture
def files(yard, tmp_path):
    """Paths of left image, right image and calibration of the rendered yard."""
    pictures.write_image(tmp_path / "left.png", yard.pair.left)
    pictures.write_image(tmp_path / "right.png", yard.pair.right)
    (tmp_path / "camera.yaml").write_text(calibration(yard.camera))
    return [str(tmp_path / name) for name in ("left.png", "right.png", "camera.yaml")]


@pytest.fixture
def out(tmp_path):
    return tmp_path / "results" / "first"


def written(folder):
    return {path.name for path in folder.iterdir()}


def test_calibrated_pair_writes_matches_and_depth(files, out, capsys):
    left, right, calib = files

    assert main([*RUN, left, right, "--calib", calib, "-o", str(out)]) == 0

    assert written(out) == MATCHES | METRIC
    for name in ("disparity", "confidence", "depth"):
        array = np.load(out / f"{name}.npy")
        assert (array.dtype, array.shape) == (np.float32, (240, 320))
        # The picture itself, as wide as the images, between its caption and its scale.
        drawn = cv2.imread(str(out / f"{name}.png"))
        assert drawn.shape[0] > 240
        assert drawn.shape[1:] == (320, 3)
    printed = capsys.readouterr()
    assert "sgbm on opencv" in printed.out
    assert printed.err == ""


def test_uncalibrated_pair_writes_matches_only(files, out):
    left, right, _ = files

    assert main([*RUN, left, right, "-o", str(out)]) == 0

    assert written(out) == MATCHES
    assert np.load(out / "disparity.npy").shape == (240, 320)


def test_depth_of_an_earlier_run_does_not_stay_beside_a_run_without_calibration(files, out):
    left, right, calib = files
    main([*RUN, left, right, "--calib", calib, "-o", str(out)])
    (out / "notes.txt").write_text("mine")

    assert main([*RUN, left, right, "-o", str(out)]) == 0

    assert written(out) == MATCHES | {"notes.txt"}


def test_depth_of_an_earlier_run_stays_when_the_next_fails(files, out, tmp_path):
    left, right, calib = files
    main([*RUN, left, right, "--calib", calib, "-o", str(out)])

    assert main([*RUN, left, str(tmp_path / "absent.png"), "-o", str(out)]) == 1

    assert written(out) == MATCHES | METRIC


def test_empty_name_of_a_calibration_is_refused(files, out, capsys):
    text = one_line(failure(capsys, *files[:2], "--calib", "", "-o", out))

    assert "--calib names no file" in text
    assert not out.exists()


def test_matches_are_the_same_with_and_without_calibration(files, tmp_path):
    left, right, calib = files

    main([*RUN, left, right, "-o", str(tmp_path / "without")])
    main([*RUN, left, right, "--calib", calib, "-o", str(tmp_path / "with")])

    for name in ("disparity.npy", "confidence.npy"):
        assert_array_equal(np.load(tmp_path / "without" / name), np.load(tmp_path / "with" / name))


def test_depth_is_that_of_the_scene(files, out, yard):
    left, right, calib = files

    main([*RUN, left, right, "--calib", calib, "-o", str(out)])

    depth = np.load(out / "depth.npy")
    seen = np.isfinite(depth) & yard.pair.visible & (yard.pair.depth < 50)
    assert seen.mean() > 0.3
    assert np.median(depth[seen] / yard.pair.depth[seen]) == pytest.approx(1.0, abs=0.01)


def test_disparity_is_that_of_the_scene_and_dense(files, out, yard):
    left, right, _ = files

    main([*RUN, left, right, "-o", str(out)])

    disparity, confidence = (np.load(out / f"{n}.npy") for n in ("disparity", "confidence"))
    assert np.isfinite(disparity).all()
    seen = (confidence > 0) & yard.pair.visible & np.isfinite(yard.pair.depth)
    assert np.median(np.abs(disparity - yard.pair.disparity)[seen]) < 0.25
    assert (confidence == 0).any()


def test_unknown_depth_is_nan_exactly_where_confidence_is_zero(files, out):
    left, right, calib = files

    main([*RUN, left, right, "--calib", calib, "-o", str(out)])

    confidence = np.load(out / "confidence.npy")
    assert_array_equal(np.isnan(np.load(out / "depth.npy")), confidence == 0)


def test_points_are_the_finite_depths_with_their_colours(files, out, yard):
    left, right, calib = files

    main([*RUN, left, right, "--calib", calib, "-o", str(out)])

    depth = np.load(out / "depth.npy")
    finite = np.isfinite(depth)
    header, _, body = (out / "points.ply").read_bytes().partition(b"end_header\n")
    assert int(re.search(rb"element vertex (\d+)", header)[1]) == finite.sum()
    points = np.frombuffer(body, [("xyz", "<f4", 3), ("rgb", "u1", 3)])
    v, u = np.nonzero(finite)
    camera = yard.camera
    assert_array_equal(points["xyz"][:, 2], depth[finite])
    assert_allclose(points["xyz"][:, 0], (u - camera.cx) / camera.fx * depth[finite], rtol=1e-4)
    assert_allclose(points["xyz"][:, 1], (v - camera.cy) / camera.fy * depth[finite], rtol=1e-4)
    assert_array_equal(points["rgb"], yard.pair.left[finite])


def test_depth_limits_are_options(files, out):
    left, right, calib = files
    limits = ["--min-depth", "2.5", "--max-depth", "5"]

    main([*RUN, left, right, "--calib", calib, *limits, "-o", str(out)])

    depth = np.load(out / "depth.npy")
    finite = depth[np.isfinite(depth)]
    assert finite.min() >= 2.5
    assert finite.max() <= 5
    assert np.isneginf(depth).any()
    assert np.isposinf(depth).any()


def test_model_is_an_option(files, out, tmp_path, yard):
    left, right, _ = files
    graph = save_graph(tmp_path / "net.onnx", 320, 240)

    assert main(["run", left, right, "--model", str(graph), "-o", str(out)]) == 0

    assert_array_equal(np.load(out / "disparity.npy"), yard.pair.left[..., 0] / np.float32(4))


def test_model_is_lite_where_none_is_named(files, out, capsys):
    left, right, _ = files

    assert main(["run", left, right, "-o", str(out)]) == 0

    assert written(out) == MATCHES
    assert np.load(out / "disparity.npy").shape == (240, 320)
    printed = capsys.readouterr()
    assert "engine: lite on onnxruntime" in printed.out
    assert printed.err == ""


def test_model_is_sgbm_without_onnx_runtime_and_one_line_says_how_to_change_that(
    files, out, capsys, monkeypatch, caplog
):
    left, right, _ = files
    main([*RUN, left, right, "-o", str(out / "named")])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)

    assert main(["run", left, right, "-o", str(out)]) == 0

    for name in ("disparity.npy", "confidence.npy"):
        assert_array_equal(np.load(out / name), np.load(out / "named" / name))
    assert "\nengine: sgbm on opencv" in capsys.readouterr().out
    (told,) = caplog.messages
    assert told.startswith("model auto is sgbm here, as lite")
    assert "pip install onnxruntime" in told


def test_search_range_is_an_option_and_makes_the_model_one_that_has_it(files, out, capsys, caplog):
    left, right, _ = files

    main(["run", left, right, "--max-disparity", "16", "-o", str(out)])

    assert np.load(out / "disparity.npy").max() <= 16
    printed = capsys.readouterr()
    assert "engine: sgbm on opencv" in printed.out
    assert "as max_disparity is set and the search range of lite is fixed" in printed.out
    assert printed.err == "".join(caplog.messages) == ""


def test_confidence_threshold_is_an_option(files, out):
    left, right, calib = files

    main([*RUN, left, right, "--calib", calib, "-o", str(out / "all")])
    main([*RUN, left, right, "--calib", calib, "--confidence", "0.6", "-o", str(out / "sure")])

    before, after = (np.load(out / name / "confidence.npy") for name in ("all", "sure"))
    assert ((before > 0) & (before <= 0.6)).mean() > 0.05
    assert_array_equal(after, np.where(before > np.float32(0.6), before, 0))
    assert_array_equal(np.isnan(np.load(out / "sure" / "depth.npy")), after == 0)


@pytest.mark.parametrize(
    ("option", "setting"),
    [
        (["--edge-filter", "1.5"], {"edge_filter": 1.5}),
        (["--speckle", "400"], {"speckle_size": 400}),
        (["--lr-check"], {"lr_check": True}),
    ],
)
def test_filters_are_those_of_the_node(files, out, yard, option, setting):
    left, right, calib = files

    main([*RUN, left, right, "--calib", calib, *option, "-o", str(out)])

    pipeline = StereoPipeline(open_engine("sgbm"), Settings(**setting))
    pair = yard.pair.left, yard.pair.right
    expected = pipeline.process(*pair, yard.camera, {Output.DEPTH})
    unfiltered = StereoPipeline(open_engine("sgbm")).process(*pair, yard.camera, ())
    assert expected.match.valid.sum() < unfiltered.match.valid.sum()
    assert_array_equal(np.isnan(np.load(out / "depth.npy")), ~expected.match.valid)
    assert_array_equal(np.load(out / "confidence.npy") > 0, expected.match.valid)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_files_match_as_well_as_those_of_8_bits(tmp_path, yard, bits):
    grey = [cv2.cvtColor(v, cv2.COLOR_RGB2GRAY) for v in (yard.pair.left, yard.pair.right)]
    noise = np.random.default_rng(0)
    for name, view in zip(("left", "right"), grey, strict=True):
        deep = view.astype(np.uint16) << (bits - 8)
        deep += noise.integers(0, 1 << (bits - 8), view.shape, np.uint16)
        cv2.imwrite(str(tmp_path / f"{name}.png"), view)
        cv2.imwrite(str(tmp_path / f"{name}_deep.png"), deep)

    for suffix in ("", "_deep"):
        pair = [str(tmp_path / f"{side}{suffix}.png") for side in ("left", "right")]
        assert main([*RUN, *pair, "-o", str(tmp_path / f"out{suffix}")]) == 0

    for name in ("disparity.npy", "confidence.npy"):
        assert_array_equal(np.load(tmp_path / "out" / name), np.load(tmp_path / "out_deep" / name))


def test_large_images_say_what_takes_its_time(files, out, capsys, monkeypatch):
    monkeypatch.setattr("stereo_depth_ros.cli.run._LARGE", 320 * 240)

    assert main([*RUN, *files[:2], "-o", str(out)]) == 0

    said = capsys.readouterr().err
    assert said == f"matching 320 x 240 px …\ndrawing, and writing to {out}/ …\n"


def test_principal_point_offset_of_the_calibration_counts(files, out, tmp_path, yard):
    left, right, _ = files
    camera = yard.camera
    calib = tmp_path / "offset.yaml"
    calib.write_text(
        f"{{focal_px: {camera.fx}, baseline_m: {camera.baseline}, cx: {camera.cx}, "
        f"cy: {camera.cy}, doffs_px: 5.0}}"
    )

    main([*RUN, left, right, "--calib", str(calib), "-o", str(out)])

    # doffs is cx_right - cx, so depth is f * B / (disparity + doffs)
    disparity, depth = np.load(out / "disparity.npy"), np.load(out / "depth.npy")
    finite = np.isfinite(depth)
    expected = camera.fx * camera.baseline / (disparity[finite] + 5.0)
    assert finite.mean() > 0.3
    assert_allclose(depth[finite], expected, rtol=1e-4)


@pytest.mark.parametrize("converging", [33.0, 0.0, -10.0])
def test_search_range_means_the_disparity_that_is_saved(out, tmp_path, converging):
    # The wall lies 20 px of saved disparity away however the principal points lie.
    baseline = (20.0 + converging) * 2.0 / 260.0
    camera = StereoCamera(240, 180, 260.0, 260.0, 119.5, 89.5, 119.5 + converging, baseline)
    pair = render(plane_scene(2.0), camera)
    for name in ("left", "right"):
        pictures.write_image(tmp_path / f"{name}.png", getattr(pair, name))
    (tmp_path / "camera.yaml").write_text(calibration(camera))
    images = [str(tmp_path / f"{name}.png") for name in ("left", "right")]

    for largest in ("32", "16"):
        options = ["--calib", str(tmp_path / "camera.yaml"), "--max-disparity", largest]
        assert main([*RUN, *images, *options, "-o", str(out / largest)]) == 0

    reached = np.load(out / "32" / "disparity.npy")[np.load(out / "32" / "confidence.npy") > 0]
    assert reached.size > 0.5 * 240 * 180
    assert np.median(reached) == pytest.approx(20.0, abs=0.1)
    beyond = np.load(out / "16" / "confidence.npy") > 0
    assert np.load(out / "16" / "disparity.npy")[beyond].max(initial=0.0) <= 16.0


def failure(capsys, *arguments):
    """Run with ``arguments`` that must fail; returns what was written to stderr."""
    assert main([*RUN, *map(str, arguments)]) == 1
    text = capsys.readouterr().err
    assert text.startswith("stereo-depth run: ")
    assert "Traceback" not in text
    return text


def one_line(text):
    assert text.count("\n") == 1
    return text


def test_missing_image_is_one_line(files, out, capsys):
    text = one_line(failure(capsys, files[0], "absent.png", "-o", out))

    assert "image absent.png does not exist" in text
    assert not out.exists()


def test_file_that_is_no_image_is_one_line(files, out, capsys):
    text = one_line(failure(capsys, files[0], files[2], "-o", out))

    assert "camera.yaml is not an image" in text


def test_images_of_different_size_are_one_line_with_both_sizes(files, out, tmp_path, capsys):
    small = tmp_path / "small.png"
    pictures.write_image(small, np.zeros((120, 160, 3), np.uint8))

    text = one_line(failure(capsys, files[0], small, "-o", out))

    assert "left.png is 320 x 240" in text
    assert "small.png 160 x 120" in text


def test_uncalibrated_numbers_are_one_line(files, out, tmp_path, capsys):
    calib = tmp_path / "null.yaml"
    calib.write_text("{focal_px: null, baseline_m: 0.1}")

    text = one_line(failure(capsys, *files[:2], "--calib", calib, "-o", out))

    assert "null.yaml, read as focal_px and baseline_m: focal_px is missing" in text


def test_missing_calibration_is_one_line(files, out, capsys):
    text = one_line(failure(capsys, *files[:2], "--calib", "absent.yaml", "-o", out))

    assert "absent.yaml" in text


def test_calibration_without_a_baseline_is_one_line_with_the_option(files, out, tmp_path, capsys):
    calib = tmp_path / "focal.yaml"
    calib.write_text("{focal_px: 230.4, cx: 159.5, cy: 119.5, doffs_px: 0}")

    text = one_line(failure(capsys, *files[:2], "--calib", calib, "-o", out))

    assert "set --baseline to the distance between the cameras in metres" in text


def test_baseline_is_an_option(files, out, tmp_path, yard):
    calib = tmp_path / "focal.yaml"
    calib.write_text(calibration(yard.camera).replace("baseline_m", "of_another_program"))

    main(
        [
            *(*RUN, *files[:2], "--calib", str(calib)),
            *("--baseline", str(yard.camera.baseline), "-o", str(out)),
        ]
    )

    depth = np.load(out / "depth.npy")
    seen = np.isfinite(depth) & yard.pair.visible & (yard.pair.depth < 50)
    assert np.median(depth[seen] / yard.pair.depth[seen]) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("option", [["--baseline", "0.1"], ["--rectify"]])
def test_options_of_a_calibration_are_refused_without_one(files, out, capsys, option):
    text = one_line(failure(capsys, *files[:2], *option, "-o", out))

    assert "need --calib" in text


def test_rectify_is_refused_where_the_calibration_has_nothing_to_rectify_by(
    files, out, tmp_path, yard, capsys
):
    calib = tmp_path / "calib.yaml"
    calib.write_text(calibration(yard.camera))

    text = one_line(failure(capsys, *files[:2], "--calib", calib, "--rectify", "-o", out))

    assert "--rectify has nothing to go by: neither distortion D nor rotation R is in" in text


def test_calibration_of_half_the_size_gives_the_same_depth(files, out, tmp_path, yard, caplog):
    half = yard.camera.resize(160, 120)
    calib = tmp_path / "half.yaml"
    calib.write_text(calibration(half).replace("}", ", width: 160, height: 120}"))

    assert main([*RUN, *files[:2], "--calib", str(calib), "-o", str(out)]) == 0

    assert "is for 160 x 120 images: scaled to 320 x 240" in caplog.text
    depth = np.load(out / "depth.npy")
    seen = np.isfinite(depth) & yard.pair.visible & (yard.pair.depth < 50)
    assert np.median(depth[seen] / yard.pair.depth[seen]) == pytest.approx(1.0, abs=0.01)


RADTAN = [-0.28, 0.07, 0.0002, -0.0003]


@pytest.fixture
def raw(tmp_path):
    """Options for a raw pair of a rendered wall at 2 m: images, Kalibr file, camera_info files."""
    k = [230.0, 229.0, 163.0, 118.0]
    turn = cv2.Rodrigues(np.array([0.006, -0.015, 0.01]))[0]
    shift = -turn @ np.array([0.12, 0.001, 0.002])
    lens = Lens.of((320, 240), k, RADTAN, "radtan", "rig")
    pair = plan_rectification(lens, lens, turn, shift)
    camera = StereoCamera.from_calibrations(*pair)
    scene = render(plane_scene(2.0), camera)
    grid = np.stack(np.meshgrid(np.arange(320.0), np.arange(240.0)), -1).reshape(-1, 1, 2)
    for side, view, c in zip(("left", "right"), (scene.left, scene.right), pair, strict=True):
        # Where each raw pixel lies in the rendered, rectified view.
        where = cv2.undistortPoints(grid, c.k, np.array(c.d), R=c.r, P=c.p[:, :3])
        where = where.reshape(240, 320, 2).astype(np.float32)
        image = cv2.remap(view, where, None, cv2.INTER_LINEAR)
        pictures.write_image(tmp_path / f"raw_{side}.png", image)
        (tmp_path / f"{side}.yaml").write_text(
            "image_width: 320\nimage_height: 240\ndistortion_model: plumb_bob\n"
            f"camera_matrix: {{data: {c.k.ravel().tolist()}}}\n"
            f"distortion_coefficients: {{data: {RADTAN}}}\n"
            f"rectification_matrix: {{data: {c.r.ravel().tolist()}}}\n"
            f"projection_matrix: {{data: {c.p.ravel().tolist()}}}\n"
        )
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = turn, shift
    common = {
        "camera_model": "pinhole",
        "distortion_model": "radtan",
        "distortion_coeffs": RADTAN,
        "intrinsics": k,
        "resolution": [320, 240],
    }
    chain = {"cam0": common, "cam1": {**common, "T_cn_cnm1": pose.tolist()}}
    (tmp_path / "camchain.yaml").write_text(json.dumps(chain))
    images = [str(tmp_path / f"raw_{side}.png") for side in ("left", "right")]
    infos = ",".join(str(tmp_path / f"{side}.yaml") for side in ("left", "right"))
    return {
        "kalibr": [*images, "--calib", str(tmp_path / "camchain.yaml")],
        "camera_info": [*images, "--calib", infos, "--rectify"],
        "taken for rectified": [*images, "--calib", infos],
    }


@pytest.mark.parametrize("name", ["kalibr", "camera_info"])
def test_raw_images_are_rectified(raw, out, capsys, name):
    assert main([*RUN, *raw[name], "-o", str(out)]) == 0

    assert "rectifying the images by" in capsys.readouterr().out
    depth = np.load(out / "depth.npy")[40:-40, 80:-40]
    finite = depth[np.isfinite(depth)]
    assert finite.size > 0.7 * depth.size
    assert np.percentile(np.abs(finite - 2.0), 95) < 0.06


def test_rectification_without_k_is_one_line_in_the_words_of_the_command_line(
    raw, out, tmp_path, capsys
):
    for side in ("left", "right"):
        path = tmp_path / f"{side}.yaml"
        path.write_text(
            re.sub(r"camera_matrix: .*", f"camera_matrix: {{data: {[0] * 9}}}", path.read_text())
        )

    text = one_line(failure(capsys, *raw["camera_info"], "-o", out))

    assert "left.yaml: K[0] = 0" in text
    assert "fill K, or leave out --rectify" in text


def test_images_with_a_filled_d_are_taken_for_rectified_and_it_is_told(raw, out, capsys):
    assert main([*RUN, *raw["taken for rectified"], "-o", str(out)]) == 0

    assert "taken for rectified; where they are raw, add --rectify" in capsys.readouterr().out


def test_calibration_of_no_known_format_lists_the_formats(files, out, tmp_path, capsys):
    calib = tmp_path / "words.txt"
    calib.write_text("no calibration")

    text = one_line(failure(capsys, *files[:2], "--calib", calib, "-o", out))

    assert "words.txt: not a known calibration format" in text
    assert "focal_px" in text


def test_calibration_of_another_size_is_one_line_with_both_sizes(files, out, tmp_path, capsys):
    for name, tx in (("left.yaml", 0.0), ("right.yaml", -26.0)):
        (tmp_path / name).write_text(
            "image_width: 640\nimage_height: 400\n"
            "camera_matrix: {data: [260, 0, 320, 0, 260, 240, 0, 0, 1]}\n"
            "distortion_coefficients: {data: [0, 0, 0, 0, 0]}\n"
            "rectification_matrix: {data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}\n"
            f"projection_matrix: {{data: [260, 0, 320, {tx}, 0, 260, 240, 0, 0, 0, 1, 0]}}\n"
        )
    calib = f"{tmp_path / 'left.yaml'},{tmp_path / 'right.yaml'}"

    text = one_line(failure(capsys, *files[:2], "--calib", calib, "-o", out))

    assert "is for 640 x 400 images, not 320 x 240" in text


def test_unknown_model_is_one_line(files, out, capsys):
    text = one_line(failure(capsys, *files[:2], "--model", "sgmb", "-o", out))

    assert "'sgmb' is not known; installed are" in text


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--max-disparity", "100000"),
        ("--max-disparity", "-1"),
        ("--max-disparity", "1.5"),
        ("--confidence", "1.5"),
        ("--confidence", "nan"),
        ("--edge-filter", "-1"),
        ("--speckle", "1000001"),
        ("--max-depth", "inf"),
    ],
)
def test_number_beyond_the_limits_of_the_node_is_refused(files, out, option, value, capsys):
    with pytest.raises(SystemExit) as exit_:
        main([*RUN, *files[:2], f"{option}={value}", "-o", str(out)])

    assert exit_.value.code == 2
    assert re.search(rf"{option}: '{value}' is not a .*number from", capsys.readouterr().err)
    assert not out.exists()


@pytest.mark.parametrize("name", ["disparity.png", "confidence.npy", "depth.png"])
@pytest.mark.parametrize("side", [0, 1])
def test_result_does_not_overwrite_an_input(files, tmp_path, capsys, name, side):
    mine = tmp_path / name
    mine.write_bytes(Path(files[side]).read_bytes())
    views = [str(mine) if index == side else files[index] for index in (0, 1)]

    text = one_line(failure(capsys, *views, "-o", mine.parent))

    assert f"{mine} would be overwritten by a result" in text
    assert text.endswith("give another folder, or move it\n")
    assert mine.read_bytes() == Path(files[side]).read_bytes()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("-o", ""), "it names no folder; write . for the current one"),
        (("--baseline=-1", "-o", "x"), "'-1' is not a number from 0 to 5"),
        (("--baseline=193", "-o", "x"), "'193' is not a number from 0 to 5"),
    ],
)
def test_empty_folder_and_impossible_baseline_are_refused(files, capsys, options, text):
    with pytest.raises(SystemExit) as exit_:
        main([*RUN, *files[:2], *options])

    assert exit_.value.code == 2
    assert text in capsys.readouterr().err


def test_search_range_beyond_the_width_is_one_line(files, out, capsys):
    text = one_line(failure(capsys, *files[:2], "--max-disparity", 321, "-o", out))

    assert "--max-disparity 321 is more than the images' width of 320 px" in text


@pytest.mark.parametrize("below", [False, True])
def test_output_that_is_a_file_is_refused_before_the_work(files, tmp_path, capsys, below):
    file = tmp_path / "taken"
    file.write_text("mine")

    text = one_line(failure(capsys, *files[:2], "-o", file / "deeper" if below else file))

    assert "taken is a file, not a folder" in text
    assert "engine" not in capsys.readouterr().out
    assert file.read_text() == "mine"


def test_file_of_floats_is_one_line(files, out, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "float.tiff"), np.ones((240, 320), np.float32))

    text = one_line(failure(capsys, tmp_path / "float.tiff", files[1], "-o", out))

    assert "save it as PNG of 8 or 16 bits" in text


def test_depth_limits_out_of_order_are_one_line(files, out, capsys):
    text = one_line(failure(capsys, *files[:2], "--min-depth", 9, "--max-depth", 3, "-o", out))

    assert "min_depth (9)" in text
