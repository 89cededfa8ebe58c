"""Depth in Python, on real pairs by real engines."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from fakes import FixedEngine, encode, save_graph
from numpy.testing import assert_allclose, assert_array_equal

import stereo_depth_ros
from stereo_depth_ros import Settings, open_model, stereo_model
from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.cli.main import main
from stereo_depth_ros.decoding.samples import ImageError
from stereo_depth_ros.engines import EngineError
from stereo_depth_ros.model_card import ModelError
from stereo_depth_ros.pair_check import SWAPPED
from stereo_depth_ros.pair_monitor import SAME_VIEW
from stereo_depth_ros.pictures import read_image, write_image
from stereo_depth_ros.stereo_model import WrongPairError

README = Path(__file__).parents[1] / "README.md"
PAGE = README.parent / "doc" / "python.md"
# Between its marks, and within a fence of the same language.
_, FIVE_LINES, _ = README.read_text().split("<!-- five lines -->\n")
FIVE_LINES = FIVE_LINES.removeprefix("```python\n").removesuffix("```\n")


@pytest.fixture(scope="module")
def sgbm():
    with open_model("sgbm") as model:
        yield model


@pytest.fixture
def folder(yard, tmp_path, monkeypatch):
    """The current folder, with the rendered yard as left.png, right.png and calib.txt."""
    write_image(tmp_path / "left.png", yard.pair.left)
    write_image(tmp_path / "right.png", yard.pair.right)
    camera = yard.camera
    (tmp_path / "calib.txt").write_text(
        f"cam0=[{camera.fx} 0 {camera.cx}; 0 {camera.fy} {camera.cy}; 0 0 1]\n"
        f"cam1=[{camera.fx} 0 {camera.cx_right}; 0 {camera.fy} {camera.cy}; 0 0 1]\n"
        f"doffs=0\nbaseline={1e3 * camera.baseline}\nwidth={camera.width}\nheight={camera.height}\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_five_lines_of_the_readme_give_the_depth_of_the_scene(folder, yard):
    names = {}

    exec(FIVE_LINES, names)

    depth = names["depth"]
    seen = np.isfinite(depth.depth) & yard.pair.visible & (yard.pair.depth < 50)
    assert seen.mean() > 0.5
    assert np.median(depth.depth[seen] / yard.pair.depth[seen]) == pytest.approx(1.0, abs=0.01)
    assert depth.points.shape == (240, 320, 3)
    assert_array_equal(np.isfinite(depth.points).all(axis=2), np.isfinite(depth.depth))


def test_result_holds_what_the_page_lists_in_the_form_that_it_states(yard, sgbm):
    rows = re.findall(r"^\| `depth\.([^`]+)` \| ([^|]*) \|", PAGE.read_text(), re.MULTILINE)
    depth = sgbm.match(yard.pair.left, yard.pair.right, yard.camera)

    public = {name for name in (*dir(depth), *vars(depth)) if not name.startswith("_")}
    assert {re.match(r"\w+", name)[0] for name, _ in rows} == public - {"match", "is_metric"}
    shapes = {"(H, W)": (240, 320), "(H, W, 3)": (240, 320, 3)}
    stated = {name: form.rsplit(" ", 1) for name, form in rows if form.startswith("(H")}
    assert set(stated) == {"disparity", "confidence", "depth", "points", "image"}
    for name, (shape, kind) in stated.items():
        array = getattr(depth, name)
        assert (array.shape, array.dtype.name) == (shapes[shape], kind), name


def test_result_says_in_a_line_what_it_is(yard, sgbm):
    pair = yard.pair.left, yard.pair.right

    metric, plain = repr(sgbm.match(*pair, yard.camera)), repr(sgbm.match(*pair))

    pattern = r"<StereoDepth: 320 x 240 px by sgbm, \d\d % valid, disparity [\d.]+ to [\d.]+ px"
    assert re.fullmatch(pattern + ", depth [\\d.]+ to [\\d.]+ m>", metric)
    assert re.fullmatch(pattern + ">", plain)


def test_package_imports_in_no_time_and_offers_what_it_names():
    code = (
        "import sys, stereo_depth_ros\n"
        "print(sorted({'numpy', 'cv2', 'onnxruntime'} & set(sys.modules)))\n"
        "print(set(stereo_depth_ros.__all__) <= set(dir(stereo_depth_ros)))"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\nTrue\n"
    for name in stereo_depth_ros.__all__:
        assert getattr(stereo_depth_ros, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'close_model'"):
        stereo_depth_ros.close_model  # noqa: B018


def test_files_are_those_that_the_command_writes(folder, sgbm):
    sgbm.match("left.png", "right.png", "calib.txt").save("by_python")
    files = ["left.png", "right.png", "--calib", "calib.txt"]
    assert main(["run", *files, "--model", "sgbm", "-o", "by_command"]) == 0

    by_python, by_command = (
        {file.name: file.read_bytes() for file in (folder / name).iterdir()}
        for name in ("by_python", "by_command")
    )
    assert by_python == by_command
    assert len(by_python) == 10


def test_images_may_be_paths_arrays_or_images_of_pillow(folder, yard, sgbm):
    image = pytest.importorskip("PIL.Image")
    expected = sgbm.match(yard.pair.left, yard.pair.right).disparity

    for left, right in (
        ("left.png", folder / "right.png"),
        (image.open("left.png"), image.open("right.png")),
        (yard.pair.left.astype(np.uint16) << 4, yard.pair.right.astype(np.uint16) << 4),
    ):
        assert_array_equal(sgbm.match(left, right).disparity, expected)


def test_calibration_may_be_a_file_a_camera_or_two_numbers(folder, yard, sgbm):
    pair = yard.pair.left, yard.pair.right
    numbers = {"focal_px": yard.camera.fx, "baseline_m": yard.camera.baseline}

    depths = [
        sgbm.match(*pair, *calibration, **keywords).depth
        for calibration, keywords in (
            ((yard.camera,), {}),
            ((folder / "calib.txt",), {}),
            ((), numbers),
        )
    ]

    assert np.isfinite(depths[0]).mean() > 0.5
    for depth in depths[1:]:
        assert_allclose(depth, depths[0], rtol=1e-5)


def test_without_calibration_there_is_disparity_and_one_error_for_depth(yard, sgbm):
    result = sgbm.match(yard.pair.left, yard.pair.right)

    known = (result.confidence > 0) & yard.pair.visible & np.isfinite(yard.pair.depth)
    assert np.median(np.abs(result.disparity - yard.pair.disparity)[known]) < 0.25
    for name in ("depth", "points", "camera"):
        with pytest.raises(CalibrationError, match="without a calibration: give"):
            getattr(result, name)


def test_pair_that_can_only_give_wrong_depth_is_refused_unless_one_insists(yard, sgbm):
    left, right = yard.pair.left, yard.pair.right

    with pytest.raises(WrongPairError) as swapped:
        sgbm.match(right, left)
    with pytest.raises(WrongPairError) as calibrated:
        sgbm.match(right, left, yard.camera)
    with pytest.raises(WrongPairError) as same:
        sgbm.match(left, left)

    assert str(swapped.value).startswith(f"{SWAPPED}; or the cameras converge: give")
    assert str(calibrated.value) == SWAPPED
    assert str(same.value) == SAME_VIEW
    assert sgbm.match(left, left, check=False).disparity.shape == (240, 320)


def test_what_spoils_depth_is_logged_and_in_the_result(yard, sgbm, caplog):
    result = sgbm.match(yard.pair.left, np.roll(yard.pair.right, 6, axis=0))

    assert result.warnings == tuple(caplog.messages)
    assert result.warnings[0].startswith("rows of the two views differ by 6.0 px RMS")
    assert sgbm.match(yard.pair.left, yard.pair.right).warnings == ()


def test_pairs_owe_nothing_to_each_other(yard):
    model = open_model("sgbm", settings=Settings(temporal_gain=0.1))
    first = model.match(yard.pair.left, yard.pair.right)

    dark = model.match(yard.pair.left // 2, yard.pair.right // 2)
    again = model.match(yard.pair.left, yard.pair.right)

    assert (dark.disparity != first.disparity).any()
    assert_array_equal(again.disparity, first.disparity)
    assert_array_equal(again.confidence, first.confidence)


def test_settings_and_search_range_are_those_of_the_node(yard):
    settings = Settings(confidence_threshold=0.6, max_depth=4.0)
    with open_model("sgbm", max_disparity=16, settings=settings) as model:
        result = model.match(yard.pair.left, yard.pair.right, yard.camera)

    assert result.disparity.max() <= 16
    assert result.confidence[result.confidence > 0].min() > 0.6
    assert np.isposinf(result.depth).any()
    assert result.depth[np.isfinite(result.depth)].max() <= 4.0


def test_model_may_be_the_path_of_a_graph(tmp_path):
    left = encode(np.full((12, 16), 5.0), 0.5)
    with open_model(save_graph(tmp_path / "net.onnx", 16, 12)) as model:
        result = model.match(left, left[::-1].copy(), check=False)

    assert_array_equal(result.disparity, np.full((12, 16), 5.0, np.float32))
    assert model.spec.backend == "onnxruntime"


def test_unknown_model_is_one_error():
    with pytest.raises(ModelError, match="'sgmb' is not known; installed are"):
        open_model("sgmb")


def test_closed_model_says_so_and_is_closed_once_more_in_peace(yard, monkeypatch):
    engine = FixedEngine(1.0)
    closed = []
    monkeypatch.setattr(engine, "close", lambda: closed.append(True))
    monkeypatch.setattr(stereo_model, "open_engine", lambda *_, **__: engine)

    with open_model() as model:
        model.match(yard.pair.left, yard.pair.right)
    model.close()

    assert closed == [True, True]
    with pytest.raises(EngineError, match="the model is closed; open it again with open_model"):
        model.match(yard.pair.left, yard.pair.right)


def test_images_and_camera_of_different_size_are_one_error(yard, sgbm):
    half = yard.pair.left[::2, ::2]

    with pytest.raises(ImageError, match="left image is 320 x 240 and the right image 160 x 120"):
        sgbm.match(yard.pair.left, half)
    with pytest.raises(CalibrationError, match="is for 320 x 240 images, not 160 x 120"):
        sgbm.match(half, half, yard.camera)


def test_notebook_shows_the_overview(yard, sgbm):
    result = sgbm.match(yard.pair.left, yard.pair.right, yard.camera)

    shown = cv2.imdecode(np.frombuffer(result._repr_png_(), np.uint8), cv2.IMREAD_COLOR)

    assert_array_equal(shown[..., ::-1], result.plot())


def test_saved_overview_is_the_plot(yard, sgbm, tmp_path):
    result = sgbm.match(yard.pair.left, yard.pair.right)

    result.save(tmp_path)

    assert_array_equal(read_image(tmp_path / "overview.png"), result.plot())


@pytest.mark.parametrize(
    ("left", "error", "cause"),
    [("absent.png", FileNotFoundError, "does not exist"), (".", IsADirectoryError, "is a folder")],
)
def test_image_that_the_system_refuses_is_an_error_of_the_system(left, error, cause, sgbm):
    with pytest.raises(error, match=cause):
        sgbm.match(left, left)
