"""One rig in every rectified format, read to the same numbers; other sizes in every reader."""

import codecs
import json
import logging

import numpy as np
import pytest

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.camera import StereoCamera

WIDTH, HEIGHT = 741, 497
FOCAL, CX, CY, CX_RIGHT, BASELINE = 999.421, 294.182, 252.932, 326.96, 0.193001


def projection(cx, tx):
    return [FOCAL, 0.0, cx, tx, 0.0, FOCAL, CY, 0.0, 0.0, 0.0, 1.0, 0.0]


def intrinsics(cx):
    return [FOCAL, 0.0, cx, 0.0, FOCAL, CY, 0.0, 0.0, 1.0]


def middlebury(size=True):
    lines = [
        f"cam0=[{FOCAL} 0 {CX}; 0 {FOCAL} {CY}; 0 0 1]",
        f"cam1=[{FOCAL} 0 {CX_RIGHT}; 0 {FOCAL} {CY}; 0 0 1]",
        f"doffs={CX_RIGHT - CX}",
        f"baseline={BASELINE * 1000}",
    ]
    return "\n".join(lines + [f"width={WIDTH}", f"height={HEIGHT}"] * size) + "\n"


def kitti(left, right, size):
    shift = 12.5
    rows = {
        left: projection(CX, shift),
        right: projection(CX_RIGHT, shift - FOCAL * BASELINE),
    }
    text = "".join(f"{key}: {' '.join(map(str, row))}\n" for key, row in rows.items())
    return text + (f"{size}: {WIDTH} {HEIGHT}\n" if size else "")


def k_txt(rows=1):
    words = [str(value) for value in intrinsics(CX)]
    step = 9 // rows
    lines = [" ".join(words[i : i + step]) for i in range(0, 9, step)]
    return "\n".join([*lines, str(BASELINE)]) + "\n"


def storage(unit=1.0, extra=""):
    def entry(key, rows, columns, data):
        return (
            f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n"
            f"   data: {list(data)}\n"
        )

    return (
        "%YAML:1.0\n---\n"
        + entry("P1", 3, 4, projection(CX, 0.0))
        + entry("P2", 3, 4, projection(CX_RIGHT, -FOCAL * BASELINE * unit))
        + entry("R1", 3, 3, np.eye(3).ravel().tolist())
        + extra
    )


def storage_json():
    def entry(columns, data):
        return {"type_id": "opencv-matrix", "rows": 3, "cols": columns, "dt": "d", "data": data}

    right = projection(CX_RIGHT, -FOCAL * BASELINE)
    return json.dumps({"P1": entry(4, projection(CX, 0.0)), "P2": entry(4, right)})


def storage_xml():
    def entry(key, data):
        text = " ".join(map(str, data))
        return (
            f'<{key} type_id="opencv-matrix"><rows>3</rows><cols>4</cols><dt>d</dt>\n'
            f"<data>{text}</data></{key}>\n"
        )

    right = projection(CX_RIGHT, -FOCAL * BASELINE)
    return (
        '<?xml version="1.0"?>\n<opencv_storage>\n'
        f"{entry('P1', projection(CX, 0.0))}{entry('P2', right)}</opencv_storage>\n"
    )


def realsense(**changes):
    view = {"width": WIDTH, "height": HEIGHT, "fx": FOCAL, "fy": FOCAL, "ppy": CY}
    content = {
        "device": {"name": "Intel RealSense D435", "serial": "0123"},
        "color": {"intrinsics": {**view, "ppx": 1.0, "coeffs": [0.1] * 5}},
        "infra1": {**view, "ppx": CX, "model": "brown_conrady", "coeffs": [0.0] * 5},
        "infra2": {**view, "ppx": CX_RIGHT, "coeffs": [0.0] * 5},
        "extrinsics": {
            "infra1_to_infra2": {
                "rotation": [1, 0, 0, 0, 1, 0, 0, 0, 1],
                "translation": [-BASELINE, 0, 0],
            },
            "infra1_to_color": {"rotation": [], "translation": [0.015, 0, 0]},
        },
    }
    return json.dumps({**content, **changes})


PLAIN = f"fx: {FOCAL}\nbaseline: {BASELINE}\ncx: {CX}\ncy: {CY}\ndoffs_px: {CX_RIGHT - CX}\n"
ONE_FILE = {
    "Middlebury": middlebury(),
    "Middlebury without a size": middlebury(size=False),
    "KITTI P2 P3": kitti("P2", "P3", None),
    "KITTI P0 P1": kitti("P0", "P1", None),
    "KITTI P_rect_02": kitti("P_rect_02", "P_rect_03", "S_rect_02"),
    "KITTI P_rect_00": kitti("P_rect_00", "P_rect_01", "S_rect_00"),
    "OpenCV in m": storage(),
    "OpenCV in mm": storage(1000.0),
    "OpenCV with the size": storage(extra=f"image_width: {WIDTH}\nimage_height: {HEIGHT}\n"),
    "OpenCV JSON": storage_json(),
    "OpenCV XML": storage_xml(),
    "RealSense": realsense(),
    "RealSense with a baseline": realsense(extrinsics={}, baseline_mm=BASELINE * 1000),
    "RealSense, streams as librealsense names them": realsense(baseline=BASELINE)
    .replace('"infra1":', '"Infrared 1":')
    .replace('"infra2":', '"Infrared 2":'),
    "RealSense, left and right": realsense()
    .replace("infra1", "ir_left")
    .replace("infra2", "ir_right"),
    "fx and baseline": PLAIN,
    "fx and baseline as text": PLAIN.replace(f"{FOCAL}", f'"{FOCAL}"'),
    "focal_px and baseline_m": PLAIN.replace("fx", "focal_px").replace("eline", "eline_m"),
    "with a size": PLAIN + f"width: {WIDTH}\nheight: {HEIGHT}\n",
}
STATES_NO_SIZE = (
    "Middlebury without a size",
    "KITTI P2 P3",
    "KITTI P0 P1",
    "OpenCV in m",
    "OpenCV in mm",
    "OpenCV JSON",
    "OpenCV XML",
    "fx and baseline",
    "fx and baseline as text",
    "focal_px and baseline_m",
)


def camera_of(path, width=WIDTH, height=HEIGHT):
    return StereoCamera.from_calibrations(*read_calibration(str(path), width, height))


def assert_is_the_rig(camera, scale=1.0):
    centres = [(c + 0.5) * scale - 0.5 for c in (CX, CY, CX_RIGHT)]
    assert (camera.fx, camera.fy) == pytest.approx((FOCAL * scale,) * 2)
    assert (camera.cx, camera.cy, camera.cx_right) == pytest.approx(tuple(centres))
    assert camera.baseline == pytest.approx(BASELINE)


@pytest.mark.parametrize("text", ONE_FILE.values(), ids=ONE_FILE)
@pytest.mark.filterwarnings("error")
def test_every_format_gives_the_rig(tmp_path, text):
    path = tmp_path / "calib.any"
    path.write_text(text)
    assert_is_the_rig(camera_of(path))


ENCODINGS = {
    "UTF-8 with a BOM": codecs.BOM_UTF8 + middlebury().encode(),
    "Windows line ends": middlebury().replace("\n", "\r\n").encode(),
    "UTF-16, as PowerShell writes": codecs.BOM_UTF16_LE + middlebury().encode("utf-16-le"),
    "YAML with BOM and Windows line ends": codecs.BOM_UTF8
    + storage().replace("\n", "\r\n").encode(),
    "JSON with a BOM": codecs.BOM_UTF8 + realsense().encode(),
    "KITTI with BOM and Windows line ends": codecs.BOM_UTF8
    + kitti("P2", "P3", None).replace("\n", "\r\n").encode(),
    "ZED style comments": b"# left, right\n" + middlebury().encode(),
}


@pytest.mark.parametrize("data", ENCODINGS.values(), ids=ENCODINGS)
def test_every_encoding_gives_the_rig(tmp_path, data):
    path = tmp_path / "calib.any"
    path.write_bytes(data)
    assert_is_the_rig(camera_of(path))


@pytest.mark.parametrize("rows", [1, 3, 9])
def test_k_txt_gives_k_and_the_baseline(tmp_path, caplog, rows):
    path = tmp_path / "K.txt"
    path.write_text(k_txt(rows))
    camera = camera_of(path)
    assert (camera.fx, camera.cx, camera.cy, camera.offset) == (FOCAL, CX, CY, 0.0)
    assert camera.baseline == pytest.approx(BASELINE)
    (record,) = caplog.records
    assert "no cx of the right view" in record.getMessage()


def test_k_txt_without_a_baseline_leaves_it_to_the_user(tmp_path):
    path = tmp_path / "K.txt"
    path.write_text(" ".join(map(str, intrinsics(CX))))
    pair = read_calibration(str(path), WIDTH, HEIGHT)
    assert StereoCamera.from_calibrations(*pair, baseline=0.2).baseline == 0.2
    with pytest.raises(CalibrationError, match="baseline is 0"):
        StereoCamera.from_calibrations(*pair)


def test_baseline_in_millimetres_is_told(tmp_path, caplog):
    path = tmp_path / "stereo.yml"
    path.write_text(storage(1000.0))
    camera_of(path)
    (record,) = caplog.records
    assert "the baseline of 193.001 is taken for millimetres" in record.getMessage()


@pytest.mark.parametrize("unit", [100.0, 1e6])
def test_baseline_that_may_be_in_any_unit_is_refused(tmp_path, unit):
    path = tmp_path / "stereo.yml"
    path.write_text(storage(unit))
    pair = read_calibration(str(path), WIDTH, HEIGHT)
    with pytest.raises(CalibrationError, match=r"millimetres or centimetres.*set --baseline"):
        StereoCamera.from_calibrations(*pair, option="--baseline")
    camera = StereoCamera.from_calibrations(*pair, baseline=BASELINE, option="--baseline")
    assert camera.baseline == BASELINE


def echo(cx, tx, upper=False, **changes):
    names = {"d": [0.0] * 5, "k": intrinsics(cx), "r": np.eye(3).ravel().tolist()}
    names["p"] = projection(cx, tx)
    if upper:
        names = {key.upper(): value for key, value in names.items()}
    message = {
        "header": {"stamp": {"sec": 1, "nanosec": 0}, "frame_id": "left"},
        "height": HEIGHT,
        "width": WIDTH,
        "distortion_model": "plumb_bob",
        **names,
        "binning_x": 0,
        "binning_y": 0,
        "roi": {"x_offset": 0, "y_offset": 0, "height": 0, "width": 0, "do_rectify": False},
        **changes,
    }
    text = "".join(f"{key}: {json.dumps(value)}\n" for key, value in message.items())
    # Every message ends so, and people seldom stop at the first.
    return f"{text}---\n{text}---\n"


def echo_pair(folder, **changes):
    paths = [folder / "left.yaml", folder / "right.yaml"]
    for path, cx, tx in zip(paths, (CX, CX_RIGHT), (0.0, -FOCAL * BASELINE), strict=True):
        path.write_text(echo(cx, tx, **changes))
    return ",".join(map(str, paths))


@pytest.mark.parametrize("upper", [False, True], ids=["ROS 2", "ROS 1"])
def test_dumps_of_topic_echo_give_the_rig(tmp_path, upper):
    assert_is_the_rig(camera_of(echo_pair(tmp_path, upper=upper)))


def test_dumps_of_topic_echo_keep_binning_and_roi(tmp_path):
    roi = {"x_offset": 40, "y_offset": 20, "width": 600, "height": 400}
    camera = camera_of(echo_pair(tmp_path, binning_x=2, binning_y=2, roi=roi), 300, 200)
    assert (camera.width, camera.height) == (300, 200)
    assert camera.cx == pytest.approx((CX - 40 + 0.5) / 2 - 0.5)
    assert camera.fx == FOCAL / 2


# -- another size --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [n for n in ONE_FILE if n not in STATES_NO_SIZE])
def test_same_view_in_another_size_is_scaled_with_a_warning(tmp_path, caplog, name):
    path = tmp_path / "calib.any"
    path.write_text(ONE_FILE[name])
    with caplog.at_level(logging.WARNING):
        camera = camera_of(path, 2 * WIDTH, 2 * HEIGHT)
    (warning,) = [r.getMessage() for r in caplog.records if "scaled" in r.getMessage()]
    assert f"{path} is for 741 x 497 images: scaled to 1482 x 994" in warning
    assert_is_the_rig(camera, 2.0)


def test_two_files_of_another_size_are_scaled_with_one_warning(tmp_path, caplog):
    camera = camera_of(echo_pair(tmp_path), 370, 248)
    assert [r.getMessage() for r in caplog.records if "scaled to 370 x 248" in r.getMessage()]
    assert len(caplog.records) == 1
    # Depth does not change by the scaling.
    parallax = FOCAL * BASELINE / 2.51 * 370 / WIDTH
    depth = camera.depth(np.float32([parallax + camera.offset]))
    assert depth[0] == pytest.approx(2.51, rel=1e-5)


@pytest.mark.parametrize("name", [n for n in ONE_FILE if n not in STATES_NO_SIZE])
@pytest.mark.parametrize("size", [(640, 480), (741, 400), (370, 255)])
def test_another_view_is_refused_with_both_sizes(tmp_path, name, size):
    path = tmp_path / "calib.any"
    path.write_text(ONE_FILE[name])
    with pytest.raises(CalibrationError) as caught:
        camera_of(path, *size)
    assert f"{path} is for 741 x 497 images, not {size[0]} x {size[1]}" in str(caught.value)


def test_binned_images_of_another_size_are_refused(tmp_path):
    path = echo_pair(tmp_path, binning_x=2, binning_y=2)
    with pytest.raises(CalibrationError, match="is for 370 x 248 images, not 741 x 497"):
        camera_of(path)


@pytest.mark.parametrize("name", [n for n in STATES_NO_SIZE if "text" not in n])
def test_half_the_size_of_a_file_without_a_size_is_warned_of(tmp_path, name):
    path = tmp_path / "calib.any"
    path.write_text(ONE_FILE[name])
    (warning,) = camera_of(path, 370, 248).warnings
    assert "far from its centre" in warning
    assert "370 x 248" in warning


# -- RealSense -----------------------------------------------------------------------------------


def test_realsense_without_a_pose_leaves_the_baseline_to_the_user(tmp_path):
    path = tmp_path / "d435.json"
    path.write_text(realsense(extrinsics={}))
    pair = read_calibration(str(path), WIDTH, HEIGHT)
    assert StereoCamera.from_calibrations(*pair, baseline=0.05).baseline == 0.05


@pytest.mark.parametrize("between", ["depth_to_color", "infra1_to_color", "infra2", "gyro"])
def test_realsense_place_of_another_stream_is_no_baseline(tmp_path, between):
    path = tmp_path / "d435.json"
    path.write_text(realsense(extrinsics={between: {"translation": [0.0148, 0, 0]}}))
    with pytest.raises(CalibrationError, match="baseline"):
        camera_of(path)


def test_realsense_place_that_names_no_stream_is_the_baseline(tmp_path):
    path = tmp_path / "d435.json"
    path.write_text(realsense(extrinsics={"translation": [-BASELINE, 0, 0]}))
    assert_is_the_rig(camera_of(path))


@pytest.mark.parametrize(
    ("missing", "cause"),
    [("infra1", "not a known calibration format"), ("infra2", "no intrinsics")],
)
def test_realsense_of_one_imager_is_refused(tmp_path, missing, cause):
    path = tmp_path / "d435.json"
    path.write_text(realsense(**{missing: {}}))
    with pytest.raises(CalibrationError, match=cause):
        read_calibration(str(path), WIDTH, HEIGHT)


def test_realsense_with_distortion_is_refused(tmp_path):
    raw = {"width": WIDTH, "height": HEIGHT, "fx": 1, "fy": 1, "ppx": 1, "ppy": 1}
    path = tmp_path / "d435.json"
    path.write_text(realsense(infra2={**raw, "coeffs": [0.1, 0, 0, 0, 0]}))
    with pytest.raises(CalibrationError, match="coeffs of right are not zero"):
        read_calibration(str(path), WIDTH, HEIGHT)


# -- numbers that most rigs share ----------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        middlebury().replace(f"cam1=[{FOCAL} 0", "cam1=[960 0"),
        kitti("P2", "P3", None).replace(f"P3: {FOCAL}", "P3: 960"),
        realsense().replace(f'"ppx": {CX_RIGHT}', f'"ppx": {CX_RIGHT}, "fx": 960'),
    ],
    ids=["Middlebury", "KITTI", "RealSense"],
)
def test_another_focal_length_of_the_right_view_is_refused(tmp_path, text):
    path = tmp_path / "calib.any"
    path.write_text(text)
    assert "960" in text
    with pytest.raises(CalibrationError, match=r"960.*shares one focal length"):
        camera_of(path)


def test_another_row_of_the_right_centre_is_warned_of(tmp_path):
    path = tmp_path / "calib.txt"
    cam1 = f"cam1=[{FOCAL} 0 {CX_RIGHT}; 0 {FOCAL} "
    path.write_text(middlebury().replace(f"{cam1}{CY}", f"{cam1}{CY + 10}"))
    assert "differs by -10.00 px" in camera_of(path).warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        k_txt().replace(f"0.0 {FOCAL} {CY}", f"0.0 900.0 {CY}"),
        PLAIN + "fy: 900\n",
    ],
    ids=["K.txt", "plain"],
)
def test_focal_length_along_columns_is_taken(tmp_path, text):
    path = tmp_path / "calib.any"
    path.write_text(text)
    camera = camera_of(path)
    assert (camera.fx, camera.fy) == (FOCAL, 900.0)


@pytest.mark.parametrize(
    "line",
    [f"doffs_px: {CX_RIGHT - CX}", f"doffs: {CX_RIGHT - CX}", f"cx_right: {CX_RIGHT}"],
    ids=["doffs_px", "doffs", "cx_right"],
)
def test_offset_of_the_right_centre_is_taken_under_each_name(tmp_path, line, caplog):
    path = tmp_path / "calib.yaml"
    path.write_text("\n".join([*PLAIN.splitlines()[:-1], line]))
    assert_is_the_rig(camera_of(path))
    assert caplog.text == ""
