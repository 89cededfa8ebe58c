import json
import logging

import numpy as np
import pytest

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.calibration_files import FORMATS, read_calibration
from stereo_depth_ros.camera import StereoCamera

CAMERA_INFO = """\
image_width: 640
image_height: 480
camera_name: {name}
camera_matrix:
  rows: 3
  cols: 3
  data: [430.5, 0.0, 311.25, 0.0, 431.5, 242.5, 0.0, 0.0, 1.0]
distortion_model: {model}
distortion_coefficients:
  rows: 1
  cols: 5
  data: [-0.36, 0.11, 0.001, -0.002, 0.0]
rectification_matrix:
  rows: 3
  cols: 3
  data: [1.0, 0.0, 0.0, 0.0, 0.8, -0.6, 0.0, 0.6, 0.8]
projection_matrix:
  rows: 3
  cols: 4
  data: [400.0, 0.0, 320.5, {tx}, 0.0, 400.0, 240.5, 0.0, 0.0, 0.0, 1.0, 0.0]
"""

MIDDLEBURY = """\
cam0=[3997.684 0 1176.728; 0 3997.684 1011.728; 0 0 1]
cam1=[3997.684 0 1307.839; 0 3997.684 1011.728; 0 0 1]
doffs=131.111
baseline=193.001
width=2964
height=1988
ndisp=280
"""

KITTI_OBJECT = """\
P0: 721.5377 0 609.5593 0 0 721.5377 172.854 0 0 0 1 0
P1: 721.5377 0 609.5593 -387.5744 0 721.5377 172.854 0 0 0 1 0
P2: 721.5377 0 609.5593 44.85728 0 721.5377 172.854 0.2163791 0 0 1 0.002745884
P3: 721.5377 0 611.5593 -339.5242 0 721.5377 172.854 2.199936 0 0 1 0.002729905
R0_rect: 1 0 0 0 1 0 0 0 1
"""

KITTI_RAW = """\
calib_time: 09-Jan-2012 13:57:47
corner_dist: 9.950000e-02
S_rect_02: 1.242000e+03 3.750000e+02
P_rect_02: 7.215377e+02 0 6.095593e+02 4.485728e+01 0 7.215377e+02 1.728540e+02 0 0 0 1 0
P_rect_03: 7.215377e+02 0 6.095593e+02 -3.395242e+02 0 7.215377e+02 1.728540e+02 0 0 0 1 0
"""


def write(folder, text, name="calib.txt"):
    path = folder / name
    path.write_text(text)
    return str(path)


def read_error(path):
    with pytest.raises(CalibrationError) as caught:
        read_calibration(path, 640, 480)
    return str(caught.value)


def camera_info_pair(folder, **changes):
    numbers = {"model": "plumb_bob", **changes}
    left = write(folder, CAMERA_INFO.format(name="left", tx="0.0", **numbers), "left.yaml")
    right = write(folder, CAMERA_INFO.format(name="right", tx="-48.0", **numbers), "right.yaml")
    return left, right


def test_camera_info_files_give_every_number(tmp_path):
    paths = camera_info_pair(tmp_path)
    left, right = read_calibration(",".join(paths), 640, 480)
    assert (left.source, right.source) == paths
    assert (left.width, left.height) == (640, 480)
    assert left.k.tolist() == [[430.5, 0, 311.25], [0, 431.5, 242.5], [0, 0, 1]]
    assert left.r.tolist() == [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    assert left.p.tolist() == [[400, 0, 320.5, 0], [0, 400, 240.5, 0], [0, 0, 1, 0]]
    assert right.p[0, 3] == -48.0
    assert left.d == (-0.36, 0.11, 0.001, -0.002, 0.0)
    assert StereoCamera.from_calibrations(left, right).baseline == pytest.approx(0.12)


def test_camera_info_file_keeps_its_distortion_model(tmp_path):
    paths = camera_info_pair(tmp_path, model="equidistant")
    left, right = read_calibration(",".join(paths), 640, 480)
    assert left.distortion_model == right.distortion_model == "equidistant"


def test_plain_file_gives_the_pair(tmp_path, caplog):
    path = write(
        tmp_path,
        "focal_px: 400\nbaseline_m: 0.12\ncx: 321.5\ncy: 238.5\ndoffs_px: 12.0\n",
        "calib.yaml",
    )
    camera = StereoCamera.from_calibrations(*read_calibration(path, 640, 480))
    assert (camera.width, camera.height) == (640, 480)
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (400, 400, 321.5, 238.5)
    assert camera.baseline == pytest.approx(0.12)
    assert camera.offset == -12.0
    assert caplog.records == []


@pytest.mark.parametrize("indent", [None, 2, "\t"])
def test_plain_file_may_be_json(tmp_path, indent):
    content = {"focal_px": 400.0, "baseline_m": 0.12, "cx": 321.5, "cy": 238.5, "doffs_px": 0.0}
    path = write(tmp_path, json.dumps(content, indent=indent), "calib.json")
    left, right = read_calibration(path, 640, 480)
    assert left.p[0].tolist() == [400.0, 0.0, 321.5, 0.0]
    assert right.p[0].tolist() == [400.0, 0.0, 321.5, pytest.approx(-48.0)]


@pytest.mark.parametrize(
    ("missing", "value"), [("cx", "319.5"), ("cy", "239.5"), ("doffs_px", "0")]
)
def test_plain_file_warns_of_each_missing_number(tmp_path, caplog, missing, value):
    content = {"focal_px": 400, "baseline_m": 0.12, "cx": 319.5, "cy": 239.5, "doffs_px": 0.0}
    del content[missing]
    path = write(tmp_path, json.dumps(content), "calib.json")
    with caplog.at_level(logging.WARNING):
        camera = StereoCamera.from_calibrations(*read_calibration(path, 640, 480))
    (record,) = caplog.records
    assert record.getMessage() == f"{path} gives no {missing}: taken as {value}"
    assert (camera.cx, camera.cy, camera.offset) == (319.5, 239.5, 0.0)


def test_null_in_a_plain_file_counts_as_missing(tmp_path, caplog):
    content = {"focal_px": 400, "baseline_m": 0.12, "cx": None, "cy": 1.0, "doffs_px": 0.0}
    path = write(tmp_path, json.dumps(content), "calib.json")
    with caplog.at_level(logging.WARNING):
        left, _ = read_calibration(path, 640, 480)
    assert [record.getMessage() for record in caplog.records] == [
        f"{path} gives no cx: taken as 319.5"
    ]
    assert left.p[0, 2] == 319.5


def test_null_focal_length_is_refused_by_name(tmp_path):
    path = write(tmp_path, '{"focal_px": null, "baseline_m": 0.12}', "calib.json")
    message = read_error(path)
    assert path in message
    assert "focal_px is missing" in message


@pytest.mark.parametrize("text", ["focal_px: 400", "focal_px: 400\nbaseline_m: null"])
def test_missing_baseline_is_left_to_the_user(tmp_path, text):
    pair = read_calibration(write(tmp_path, text, "calib.yaml"), 640, 480)
    with pytest.raises(CalibrationError, match=r"baseline is 0.*set --baseline"):
        StereoCamera.from_calibrations(*pair, option="--baseline")
    assert StereoCamera.from_calibrations(*pair, baseline=0.12).baseline == 0.12


def test_middlebury_file_gives_metres_and_both_principal_points(tmp_path):
    camera = StereoCamera.from_calibrations(
        *read_calibration(write(tmp_path, MIDDLEBURY), 2964, 1988)
    )
    assert (camera.width, camera.height) == (2964, 1988)
    assert (camera.fx, camera.fy) == (3997.684, 3997.684)
    assert (camera.cx, camera.cy) == (1176.728, 1011.728)
    assert camera.offset == pytest.approx(-131.111)
    assert camera.baseline == pytest.approx(0.193001)
    # The formula of the dataset: Z = baseline * f / (d + doffs).
    depth = camera.depth(np.array([100.0], np.float32))
    assert depth[0] == pytest.approx(0.193001 * 3997.684 / 231.111, rel=1e-5)


@pytest.mark.parametrize("change", [("=", " = "), ("\n", "\r\n")])
def test_middlebury_file_may_have_spaces_or_windows_line_ends(tmp_path, change):
    path = tmp_path / "calib.txt"
    path.write_bytes(MIDDLEBURY.replace(*change).encode())
    left, right = read_calibration(str(path), 2964, 1988)
    assert left.p[0, 2] == 1176.728
    assert right.p[0, 3] == pytest.approx(-3997.684 * 0.193001)


@pytest.mark.parametrize(
    ("text", "offset"), [(KITTI_OBJECT, -2.0), (KITTI_RAW, 0.0)], ids=["P2 P3", "P_rect_02"]
)
def test_kitti_file_gives_the_distance_between_the_colour_cameras(tmp_path, text, offset):
    camera = StereoCamera.from_calibrations(*read_calibration(write(tmp_path, text), 1242, 375))
    assert (camera.width, camera.height) == (1242, 375)
    assert (camera.fx, camera.cx, camera.cy) == (721.5377, 609.5593, 172.854)
    assert camera.offset == offset
    assert camera.baseline == pytest.approx((44.85728 + 339.5242) / 721.5377)
    assert camera.warnings == ()


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        (
            "left.yaml",
            "image_width: 640\ncamera_matrix:\n  rows: 3\n data: [1, 2\n",
            "line 4 is no YAML: expected <block end>, but found '<block mapping start>'",
        ),
        (
            "opencv.yml",
            "%YAML:1.0\n---\nM1: !!opencv-matrix\n\trows: 3\n",
            "line 4 is no YAML: found character '\\t' that cannot start any token",
        ),
        ("d435.json", '{\n\t"a": 1,\n}\n', "line 3 is no JSON: "),
    ],
    ids=["YAML", "OpenCV", "JSON"],
)
def test_syntax_that_breaks_is_named_with_its_line(tmp_path, name, text, fault):
    path = write(tmp_path, text, name)
    message = read_error(path)
    assert message.startswith(f"{path}: {fault}")
    assert message.endswith("; correct the file")
    assert "\n" not in message


@pytest.mark.parametrize("name", ["other.yaml", "other.json"])
def test_syntax_that_is_whole_is_no_fault(tmp_path, name):
    path = write(tmp_path, '{"camera": 3}', name)
    assert read_error(path).startswith(f"{path}: not a known calibration format")


def without(text, start):
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(start))


@pytest.mark.parametrize(
    "text",
    ["", "hello\n", "[1, 2, 3]\n", "camera: 3\n", "{broken: [\n", "[" * 200_000, "{a: " * 5000],
    ids=["empty", "text", "list", "other YAML", "broken YAML", "brackets", "nested"],
)
def test_file_of_no_known_format_is_named_on_one_line_with_the_known_formats(tmp_path, text):
    path = write(tmp_path, text)
    message = read_error(path)
    assert message.startswith(f"{path}: not a known calibration format; known are camera_info")
    assert "Kalibr" in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        pytest.param("baseline_m: 0.12\n", "focal_px is missing", id="plain without focal_px"),
        pytest.param(
            "focal_px: -5\nbaseline_m: 0.1\n", "focal_px is -5; it must", id="plain focal_px"
        ),
        pytest.param(
            "focal_px: 400\nbaseline_m: 193\n",
            "baseline_m is 193; it must be above 0 and at most 5: is it in millimetres",
            id="plain baseline_m in mm",
        ),
        pytest.param(
            "focal_px: wide\nbaseline_m: 1\n", "focal_px is 'wide'", id="plain with a word"
        ),
        pytest.param("focal_px: true\nbaseline_m: 1\n", "focal_px is True", id="plain with true"),
        pytest.param("focal_px: .nan\nbaseline_m: 1\n", "focal_px is nan", id="plain with NaN"),
        pytest.param(
            f"focal_px: {'9' * 400}\nbaseline_m: 1\n", "focal_px is 99999", id="400 digits"
        ),
        pytest.param(
            f"focal_px: {'x' * 100_000}\nbaseline_m: 1\n", "focal_px is 'xxx", id="100 000 letters"
        ),
        pytest.param("focal_px: " + "[" * 200 + "]" * 200, "focal_px is [[[[[[", id="nested list"),
        pytest.param(without(MIDDLEBURY, "cam1"), "lacks 'cam1'", id="Middlebury without cam1"),
        pytest.param(without(MIDDLEBURY, "baseline"), "lacks 'baseline'", id="no baseline"),
        pytest.param(
            MIDDLEBURY.replace("; 0 3997.684 1011.728; 0 0 1]", "]"),
            "cam0 has 3 numbers, not 9",
            id="Middlebury matrix of one row",
        ),
        pytest.param(without(KITTI_OBJECT, "P3"), "lacks 'P3'", id="KITTI without P3"),
        pytest.param(without(KITTI_RAW, "P_rect_03"), "lacks 'P_rect_03'", id="KITTI raw"),
        pytest.param(
            KITTI_OBJECT.replace(" 0 0 1 0.0027", " 0.0027"),
            "P2 has 9 numbers, not 12",
            id="KITTI P too short",
        ),
        pytest.param(
            KITTI_OBJECT.replace("721.5377", "0"), "P2 has the focal length 0", id="KITTI of zeros"
        ),
        pytest.param(
            f"T_BS: &a {[1] * 3000}\nP1: {{data: [{', '.join(['*a'] * 3000)}]}}\nP2: {{data: 1}}\n",
            "P1 has more than 100 numbers",
            id="one row three thousand times",
        ),
        pytest.param("[LEFT_CAM_HD]\nfx\n", "parsing errors", id="ZED without a value"),
        pytest.param("cam0: {camera_model: omni}\ncam1: 3\n", "'omni'", id="Kalibr omni"),
        pytest.param("P1: {data: [1]}\nP2: {data: 3}\n", "P1 has 1 numbers", id="OpenCV"),
        pytest.param('{"cameraData": 3}', "int", id="DepthAI of another shape"),
        pytest.param("<?xml?><opencv_storage><P1>", "XML", id="broken XML"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_unreadable_file_is_named_on_one_short_line_with_the_cause(tmp_path, text, cause):
    path = write(tmp_path, text)
    message = read_error(path)
    assert message.startswith(f"{path}, read as ")
    assert cause in message
    assert "\n" not in message
    assert len(message) < len(path) + 300


@pytest.mark.parametrize(
    "data",
    [b"\x89PNG\r\n\x1a\n\xff\xfe", bytes(range(256)) * 8000, b"\0" * 2_000_000, b"\xff\xfe\0"],
    ids=["head of a PNG", "2 MB", "zeros", "half a UTF-16"],
)
def test_binary_file_is_one_short_line(tmp_path, data):
    path = tmp_path / "calib.png"
    path.write_bytes(data)
    assert read_error(str(path)) == f"{path} is a binary file, not a calibration"


def test_large_text_is_not_read(tmp_path):
    path = write(tmp_path, "focal_px: 400\n" * 100_000)
    assert read_error(path) == f"{path} is larger than 256 kB, so no calibration"


@pytest.mark.parametrize(
    "key",
    [
        "image_width",
        "camera_matrix",
        "distortion_coefficients",
        "rectification_matrix",
        "projection_matrix",
    ],
)
def test_camera_info_file_without_a_key_is_refused_by_name(tmp_path, key):
    left, right = camera_info_pair(tmp_path)
    text = CAMERA_INFO.format(name="right", tx="-48.0", model="plumb_bob")
    write(tmp_path, text.replace(key, "other"), "right.yaml")
    assert read_error(f"{left},{right}") == f"{right}, read as camera_info YAML: lacks '{key}'"


def test_camera_info_matrix_of_wrong_size_is_refused(tmp_path):
    left, right = camera_info_pair(tmp_path)
    text = CAMERA_INFO.format(name="right", tx="-48.0", model="plumb_bob")
    write(tmp_path, text.replace(", 0.0, 0.0, 1.0]", "]"), "right.yaml")
    message = read_error(f"{left},{right}")
    assert message == f"{right}, read as camera_info YAML: K has 6 numbers, not 9"


def test_one_file_of_two_is_told_that_it_is_one(tmp_path):
    left, _ = camera_info_pair(tmp_path)
    assert read_error(left) == f"{left} is camera_info YAML of one camera; give both as LEFT,RIGHT"
    calib = write(tmp_path, MIDDLEBURY)
    assert "give one file" in read_error(f"{calib},{calib}")
    assert "not a known calibration format" in read_error(f"{left},{calib}")


def test_one_camera_for_both_eyes_is_refused(tmp_path):
    left, right = camera_info_pair(tmp_path)

    assert read_error(f"{left},{left}") == (
        f"{left},{left} names one file twice; give that of the left and the right"
    )
    assert read_calibration(f"{left},{right}", 640, 480)[1].p[0, 3] < 0


def test_help_says_every_format():
    for name in (
        "camera_info",
        "Middlebury",
        "KITTI",
        "K.txt",
        "Kalibr",
        "EuRoC",
        "ZED",
        "DepthAI",
    ):
        assert name in FORMATS


@pytest.mark.parametrize("pair", [False, True])
def test_missing_file_is_named(tmp_path, pair):
    missing = str(tmp_path / "nothing.yaml")
    left, _ = camera_info_pair(tmp_path)
    message = read_error(f"{left},{missing}" if pair else missing)
    assert missing in message
