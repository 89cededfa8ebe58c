"""Raw calibrations: formats, and the rectification that is computed from them."""

import json
import logging
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.calibration_files import read_calibration
from stereo_depth_ros.calibration_files import zed as zed_format
from stereo_depth_ros.calibration_files.raw_rig import Lens, plan_rectification
from stereo_depth_ros.camera import StereoCamera

SIZE = (752, 480)
LEFT_K, RIGHT_K = (458.654, 457.296, 367.215, 248.375), (457.587, 456.134, 379.999, 255.238)
RADTAN = (
    (-0.28340811, 0.07395907, 0.00019359, 1.76e-05),
    (-0.28368365, 0.07451284, -0.0001, -3.5e-05),
)
EQUIDISTANT = (-0.0216, 0.0052, -0.0024, 0.0006), (-0.0201, 0.0049, -0.0021, 0.0005)
BASELINE = 0.11
ROTATION = cv2.Rodrigues(np.array([0.004, -0.012, 0.009]))[0]
# The right camera sits 0.11 m along x of the left, a little lower and forward.
POSITION = np.array([0.11, 0.0015, -0.001])
TRANSLATION = -ROTATION @ POSITION
LENGTH = float(np.linalg.norm(POSITION))
MODELS = {"radtan": RADTAN, "equidistant": EQUIDISTANT}


def pose():
    """What takes points from the left camera's frame to the right one's."""
    transform = np.eye(4)
    transform[:3, :3], transform[:3, 3] = ROTATION, TRANSLATION
    return transform


def lenses(model="radtan"):
    return [
        Lens.of(SIZE, list(k), list(d), model, "rig")
        for k, d in zip((LEFT_K, RIGHT_K), MODELS[model], strict=True)
    ]


def matrix(k):
    return [[k[0], 0.0, k[2]], [0.0, k[1], k[3]], [0.0, 0.0, 1.0]]


# -- files ---------------------------------------------------------------------------------------


def kalibr(folder, model="radtan", order=("left", "right"), camera_model="pinhole"):
    cameras = {
        "left": (LEFT_K, MODELS[model][0]),
        "right": (RIGHT_K, MODELS[model][1]),
    }
    content = {}
    for number, side in enumerate(order):
        k, d = cameras[side]
        content[f"cam{number}"] = {
            "cam_overlaps": [1 - number],
            "camera_model": camera_model,
            "distortion_coeffs": list(d),
            "distortion_model": model,
            "intrinsics": list(k),
            "resolution": list(SIZE),
            "rostopic": f"/cam{number}/image_raw",
        }
    transform = pose() if order[0] == "left" else np.linalg.inv(pose())
    content["cam1"]["T_cn_cnm1"] = transform.tolist()
    return write(folder / "camchain.yaml", json.dumps(content, indent=1))


def write(path, text):
    path.write_text(text)
    return str(path)


def euroc(folder, model="radial-tangential", coefficients=RADTAN):
    # The body is turned, so that the pose between the cameras is no difference of translations.
    body = np.eye(4)
    body[:3, :3] = cv2.Rodrigues(np.array([0.1, -0.2, 1.5]))[0]
    body[:3, 3] = (-0.02, -0.06, 0.01)
    sides = {"left": body, "right": body @ np.linalg.inv(pose())}
    paths = []
    for (side, transform), k, d in zip(sides.items(), (LEFT_K, RIGHT_K), coefficients, strict=True):
        text = (
            "# General sensor definitions.\nsensor_type: camera\n"
            "comment: VI-Sensor cam0 (MT9M034)\n\n# Sensor extrinsics wrt. the body-frame.\n"
            f"T_BS:\n  cols: 4\n  rows: 4\n  data: {transform.ravel().tolist()}\n\n"
            f"rate_hz: 20\nresolution: {list(SIZE)}\ncamera_model: pinhole\n"
            f"intrinsics: {list(k)} #fu, fv, cu, cv\ndistortion_model: {model}\n"
            f"distortion_coefficients: {list(d)}\n"
        )
        paths.append(write(folder / f"{side}.yaml", text))
    return ",".join(paths)


def zed(folder, shared_distortion=False, **changes):
    """Sections of two resolutions, the wrong one first."""
    rotation = cv2.Rodrigues(ROTATION)[0].ravel()
    x, y, z = TRANSLATION * 1000
    stereo = {
        "Baseline": -x,
        "TY": y,
        "TZ": z,
        "CV_VGA": rotation[1],
        "RX_VGA": rotation[0],
        "RZ_VGA": rotation[2],
        "CV_HD": 9.0,
        "RX_HD": 9.0,
        "RZ_HD": 9.0,
    }
    lines = []
    for side, k, d in (("LEFT", LEFT_K, RADTAN[0]), ("RIGHT", RIGHT_K, RADTAN[1])):
        distortion = dict(zip(("k1", "k2", "p1", "p2"), d, strict=True))
        camera = dict(zip(("fx", "fy", "cx", "cy"), k, strict=True))
        lines += section(f"{side}_CAM_HD", dict.fromkeys((*camera, *distortion), 1.0))
        if shared_distortion:
            lines += section(f"{side}_DISTO", distortion) + section(f"{side}_CAM_VGA", camera)
        else:
            lines += section(f"{side}_CAM_VGA", {**camera, **distortion})
    lines += section("STEREO", {**stereo, **changes})
    return write(folder / "SN1234.conf", "\r\n".join(lines))


def section(name, values):
    return [f"[{name}]", *(f"{key}={value}" for key, value in values.items()), ""]


def depthai(folder, chain="direct", model="radtan"):
    nothing = {"x": 0.0, "y": 0.0, "z": 0.0}

    def extrinsics(transform, target):
        x, y, z = transform[:3, 3] * 100
        return {
            "rotationMatrix": transform[:3, :3].tolist(),
            "specTranslation": nothing,
            "toCameraSocket": target,
            "translation": {"x": x, "y": y, "z": z},
        }

    # The colour camera, socket 0, lies between the two.
    to_colour = np.eye(4)
    to_colour[:3, 3] = (-0.05, 0.0, 0.0)
    poses = {
        "direct": {1: (pose(), 2), 2: (np.eye(4), -1)},
        "left to right to colour": {1: (pose(), 2), 2: (to_colour @ np.linalg.inv(pose()), 0)},
        "both to colour": {1: (to_colour, 0), 2: (to_colour @ np.linalg.inv(pose()), 0)},
        "apart": {1: (np.eye(4), -1), 2: (np.eye(4), -1)},
        "circle": {1: (pose(), 2), 2: (np.linalg.inv(pose()), 1)},
    }[chain]
    cameras = [[0, camera(LEFT_K, (0.0,) * 4, extrinsics(np.eye(4), -1))]]
    for socket, k, d in ((1, LEFT_K, MODELS[model][0]), (2, RIGHT_K, MODELS[model][1])):
        cameras.append([socket, camera(k, d, extrinsics(*poses[socket]), model == "equidistant")])
    content = {
        "batchName": "",
        "boardName": "BW1098OBC",
        "cameraData": cameras,
        "stereoRectificationData": {"leftCameraSocket": 1, "rightCameraSocket": 2},
        "version": 7,
    }
    return write(folder / "oak.json", json.dumps(content, indent="\t"))


def camera(k, d, extrinsics, is_fisheye=False):
    return {
        "cameraType": int(is_fisheye),
        "distortionCoeff": [*d, *[0.0] * 10],
        "extrinsics": extrinsics,
        "height": SIZE[1],
        "intrinsicMatrix": matrix(k),
        "width": SIZE[0],
    }


def storage(folder, unit=1.0, files=1):
    def entry(key, data):
        data = np.asarray(data, np.float64)
        rows, columns = data.reshape(len(data), -1).shape
        return (
            f"{key}: !!opencv-matrix\n   rows: {rows}\n   cols: {columns}\n   dt: d\n"
            f"   data: {data.ravel().tolist()}\n"
        )

    intrinsics = "".join(
        entry(f"M{n}", matrix(k)) + entry(f"D{n}", [d])
        for n, k, d in ((1, LEFT_K, RADTAN[0]), (2, RIGHT_K, RADTAN[1]))
    )
    extrinsics = entry("R", ROTATION) + entry("T", (TRANSLATION * unit)[:, None])
    head = "%YAML:1.0\n---\n"
    if files == 1:
        return write(folder / "stereo.yml", head + intrinsics + extrinsics)
    planned = plan_rectification(*lenses(), ROTATION, TRANSLATION * unit)
    for number, calibration in enumerate(planned, 1):
        extrinsics += entry(f"R{number}", calibration.r) + entry(f"P{number}", calibration.p)
    left = write(folder / "intrinsics.yml", head + intrinsics)
    return f"{left},{write(folder / 'extrinsics.yml', head + extrinsics)}"


RAW_FILES = {
    "Kalibr": kalibr,
    "EuRoC": euroc,
    "DepthAI": depthai,
    "DepthAI, left to right to colour": lambda f: depthai(f, "left to right to colour"),
    "DepthAI, both to colour": lambda f: depthai(f, "both to colour"),
    "OpenCV in m": storage,
    "OpenCV in mm": lambda f: storage(f, 1000.0),
}


def assert_is_the_rig(pair, d=RADTAN, model="plumb_bob"):
    expected = plan_rectification(
        *lenses("radtan" if model == "plumb_bob" else "equidistant"), ROTATION, TRANSLATION
    )
    for calibration, k, coefficients, planned in zip(
        pair, (LEFT_K, RIGHT_K), d, expected, strict=True
    ):
        np.testing.assert_allclose(calibration.k, matrix(k))
        np.testing.assert_allclose(calibration.d[:4], coefficients)
        assert not any(calibration.d[4:])
        assert calibration.distortion_model == model
        np.testing.assert_allclose(calibration.r, planned.r, atol=1e-9)
        np.testing.assert_allclose(calibration.p, planned.p, atol=1e-6)
        assert calibration.is_raw


@pytest.mark.parametrize("make", RAW_FILES.values(), ids=RAW_FILES)
@pytest.mark.filterwarnings("error")
def test_every_raw_format_gives_the_rig(tmp_path, make):
    assert_is_the_rig(read_calibration(make(tmp_path), *SIZE))


@pytest.mark.parametrize(
    "make",
    [
        lambda f: kalibr(f, "equidistant"),
        lambda f: euroc(f, "equidistant", EQUIDISTANT),
        lambda f: depthai(f, model="equidistant"),
    ],
    ids=["Kalibr", "EuRoC", "DepthAI"],
)
def test_fisheye_lenses_give_the_rig(tmp_path, make):
    assert_is_the_rig(read_calibration(make(tmp_path), *SIZE), EQUIDISTANT, "equidistant")


@pytest.mark.parametrize("shared", [False, True], ids=["in the section", "in a section of its own"])
def test_zed_takes_the_section_of_the_images(tmp_path, monkeypatch, shared):
    path = zed(tmp_path, shared)
    monkeypatch.setitem(zed_format._SIZES, "VGA", SIZE)
    assert_is_the_rig(read_calibration(path, *SIZE))


def test_zed_of_images_in_no_resolution_of_the_file_is_refused(tmp_path):
    with pytest.raises(CalibrationError, match="is for 1280 x 720 images, not 1920 x 1200"):
        read_calibration(zed(tmp_path, CV_HD=0.0, RX_HD=0.0, RZ_HD=0.0), 1920, 1200)


def test_opencv_files_with_projections_take_rectified_images(tmp_path):
    pair = read_calibration(storage(tmp_path, 1000.0, files=2), *SIZE)
    expected = plan_rectification(*lenses(), ROTATION, TRANSLATION)
    for calibration, planned in zip(pair, expected, strict=True):
        np.testing.assert_allclose(calibration.p, planned.p, atol=1e-6)
        np.testing.assert_allclose(calibration.r, planned.r)
        np.testing.assert_allclose(calibration.k, planned.k)
        assert (calibration.is_raw, calibration.is_rectified) == (False, False)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["lenses first", "pose first"])
@pytest.mark.parametrize("keys", [("M", "D"), ("cameraMatrix", "distCoeffs")], ids="-".join)
def test_opencv_lenses_and_pose_may_be_two_files(tmp_path, order, keys):
    text = Path(storage(tmp_path)).read_text()
    head, lenses_text = text.split("M1:", 1)
    lenses_text, pose = ("M1:" + lenses_text).split("R:", 1)
    for short, long in zip("MD", keys, strict=True):
        lenses_text = re.sub(rf"^{short}([12]):", rf"{long}\1:", lenses_text, flags=re.MULTILINE)
    names = (
        write(tmp_path / "intrinsics.yml", head + lenses_text),
        write(tmp_path / "extrinsics.yml", head + "R:" + pose),
    )

    assert_is_the_rig(read_calibration(",".join(str(names[n]) for n in order), *SIZE))


def test_opencv_pose_without_lenses_says_what_it_lacks(tmp_path):
    text = Path(storage(tmp_path)).read_text()
    path = write(tmp_path / "extrinsics.yml", "%YAML:1.0\n---\nR:" + text.split("R:", 1)[1])

    with pytest.raises(CalibrationError, match=r"extrinsics\.yml, read as OpenCV.*: lacks 'M1'"):
        read_calibration(str(path), *SIZE)


def test_first_camera_of_kalibr_may_be_the_right_one(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        pair = read_calibration(kalibr(tmp_path, order=("right", "left")), *SIZE)
    assert_is_the_rig(pair)
    assert "cam1 lies to the left of cam0" in caplog.text


def test_exchanged_euroc_files_are_told(tmp_path):
    left, right = euroc(tmp_path).split(",")
    with pytest.raises(CalibrationError, match=r"lies 0\.109986 m to the left of the left one"):
        read_calibration(f"{right},{left}", *SIZE)


@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (lambda f: kalibr(f, camera_model="ds"), "camera_model of cam0 is 'ds'"),
        (lambda f: euroc(f, "fov"), "distortion model 'fov'"),
        (lambda f: depthai(f, "circle"), "lead in a circle"),
        (lambda f: depthai(f, "apart"), "no extrinsics lead from socket 1 to socket 2"),
    ],
    ids=["Kalibr", "EuRoC", "DepthAI in a circle", "DepthAI apart"],
)
def test_rig_that_cannot_be_used_is_told(tmp_path, make, cause):
    with pytest.raises(CalibrationError) as caught:
        read_calibration(make(tmp_path), *SIZE)
    assert cause in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("make", "number"),
    [
        (kalibr, ROTATION[0, 0]),
        (euroc, -0.02),
        (depthai, ROTATION[0, 0]),
        (storage, TRANSLATION[0]),
    ],
    ids=["Kalibr", "EuRoC", "DepthAI", "OpenCV"],
)
def test_number_that_overflows_is_refused_without_a_warning(tmp_path, make, number):
    path = make(tmp_path)
    first = Path(path.split(",")[0])
    assert str(float(number)) in first.read_text()
    first.write_text(first.read_text().replace(str(float(number)), "1e300"))
    with pytest.raises(CalibrationError):
        StereoCamera.from_calibrations(*read_calibration(path, *SIZE))


def test_raw_calibration_of_the_same_view_is_scaled(tmp_path):
    whole = read_calibration(kalibr(tmp_path), *SIZE)
    half = read_calibration(kalibr(tmp_path), SIZE[0] // 2, SIZE[1] // 2)
    for small, large in zip(half, whole, strict=True):
        assert small.is_raw
        np.testing.assert_allclose(small.r, large.r)
        assert small.k[0, 0] == pytest.approx(large.k[0, 0] / 2)
        assert small.p[0, 3] == pytest.approx(large.p[0, 3] / 2)


# -- geometry ------------------------------------------------------------------------------------


def distort(points, lens):
    """Project points in a camera's frame, (N, 3), into the raw image of its lens."""
    points, d, zero = points.reshape(-1, 1, 3), np.array(lens.d), np.zeros(3)
    if lens.model == "equidistant":
        return cv2.fisheye.projectPoints(points, zero, zero, lens.k, d)[0].reshape(-1, 2)
    return cv2.projectPoints(points, zero, zero, lens.k, d)[0].reshape(-1, 2)


def rectify(pixels, calibration):
    pixels, d = pixels.reshape(-1, 1, 2), np.array(calibration.d)
    r, p = calibration.r, calibration.p[:, :3]
    if calibration.distortion_model == "equidistant":
        return cv2.fisheye.undistortPoints(pixels, calibration.k, d, R=r, P=p).reshape(-1, 2)
    return cv2.undistortPoints(pixels, calibration.k, d, R=r, P=p).reshape(-1, 2)


@pytest.mark.parametrize("model", MODELS)
def test_rectified_rows_agree_and_disparity_gives_depth(model):
    left, right = lenses(model)
    pair = plan_rectification(left, right, ROTATION, TRANSLATION)
    camera = StereoCamera.from_calibrations(*pair)
    assert camera.warnings == ()
    assert camera.baseline == pytest.approx(LENGTH, rel=1e-6)
    random = np.random.default_rng(0)
    z = random.uniform(1.0, 8.0, 200)
    points = np.stack(
        [random.uniform(-0.5, 0.5, 200) * z, random.uniform(-0.3, 0.3, 200) * z, z], 1
    )
    x_left = rectify(distort(points, left), pair[0])
    x_right = rectify(distort(points @ ROTATION.T + TRANSLATION, right), pair[1])
    np.testing.assert_allclose(x_left[:, 1], x_right[:, 1], atol=0.02)
    depth = camera.depth((x_left[:, 0] - x_right[:, 0]).astype(np.float32))
    expected = (points @ pair[0].r.T)[:, 2]
    np.testing.assert_allclose(depth, expected, rtol=2e-3)
    # Most of the raw view is kept, at its own resolution.
    assert 0.7 < camera.fx / LEFT_K[0] < 1.4


def test_lenses_of_different_size_are_refused():
    left, right = lenses()
    other = Lens.of((640, 480), list(RIGHT_K), list(RADTAN[1]), "radtan", "rig")
    with pytest.raises(ValueError, match="752 x 480 plumb_bob and 640 x 480 plumb_bob"):
        plan_rectification(left, other, ROTATION, TRANSLATION)
    with pytest.raises(ValueError, match="no rotation"):
        plan_rectification(left, right, 2 * ROTATION, TRANSLATION)
