import numpy as np
import pytest

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.pair_geometry import PairGeometry, find_geometry

CAMERA = StereoCamera(64, 48, 50.0, 50.0, 30.0, 25.0, 32.0, 0.12)
LEFT = Calibration.pinhole(64, 48, 50.0, 30.0, 25.0)
RIGHT = Calibration.pinhole(64, 48, 50.0, 32.0, 25.0, -50.0 * 0.12)


def distort(calibration):
    return Calibration(
        64, 48, calibration.k, calibration.p, calibration.r, (-0.1, 0.0, 0.0, 0.0, 0.0)
    )


def test_nothing_known_gives_disparity_alone():
    geometry = find_geometry(None, 64, 48)

    assert not geometry.is_metric
    assert geometry.camera == StereoCamera.without_calibration(64, 48)


def test_every_form_gives_the_same_camera(tmp_path):
    path = tmp_path / "camera.yaml"
    path.write_text("{fx: 50, baseline: 0.12, cx: 30, cy: 25, cx_right: 32}")

    for calibration in (CAMERA, (LEFT, RIGHT), path, str(path), PairGeometry(CAMERA)):
        geometry = find_geometry(calibration, 64, 48)
        assert geometry == PairGeometry(CAMERA)


def test_two_numbers_put_the_principal_point_in_the_middle():
    camera = find_geometry(None, 64, 48, focal_px=50.0, baseline_m=0.12).camera

    assert camera == StereoCamera(64, 48, 50.0, 50.0, 31.5, 23.5, 31.5, 0.12)


def test_baseline_completes_a_calibration_without_one():
    alone = Calibration.pinhole(64, 48, 50.0, 32.0, 25.0)

    assert find_geometry((LEFT, alone), 64, 48, baseline_m=0.2).camera.baseline == 0.2


def test_raw_images_are_rectified_when_asked_for():
    pair = distort(LEFT), distort(RIGHT)

    doubtful, rectified = find_geometry(pair, 64, 48), find_geometry(pair, 64, 48, rectify=True)

    assert (doubtful.rectify, doubtful.is_in_doubt) == (None, True)
    assert not rectified.is_in_doubt
    assert rectified.rectify[0](np.zeros((48, 64), np.uint8)).shape == (48, 64)
    assert not find_geometry((LEFT, RIGHT), 64, 48).is_in_doubt


@pytest.mark.parametrize(
    ("calibration", "options", "text"),
    [
        (None, {"baseline_m": 0.1}, "baseline_m and rectify give no depth by themselves"),
        (None, {"rectify": True}, "a calibration is needed, or a focal length"),
        (None, {"focal_px": 50.0}, "focal_px alone gives no depth; set baseline_m to the dist"),
        (None, {"focal_px": -1.0, "baseline_m": 0.1}, r"focal_px: K\[0\] = -1"),
        (None, {"focal_px": 50.0, "baseline_m": 120.0}, "probably in millimetres"),
        (CAMERA, {"focal_px": 50.0}, "both a calibration and focal_px are given"),
        (CAMERA, {"rectify": True}, "takes K, D and R, which a StereoCamera does not hold"),
        (CAMERA.resize(32, 24), {}, "the camera is for 32 x 24 images, not 64 x 48"),
        ((LEFT.resize(32, 24), RIGHT), {}, "is for 32 x 24 images, not 64 x 48"),
        ((LEFT,), {}, "of type tuple is not known; give the path of a file, a StereoCamera"),
        ({"fx": 50}, {}, "of type dict is not known"),
        (5, {}, "of type int is not known"),
    ],
)
def test_what_gives_no_depth_is_one_line_with_the_cure(calibration, options, text):
    with pytest.raises(CalibrationError, match=text):
        find_geometry(calibration, 64, 48, **options)


def test_texts_name_the_options_of_the_caller():
    with pytest.raises(CalibrationError, match="--baseline and --rectify give no depth"):
        find_geometry(None, 64, 48, baseline_m=0.1, options=("--baseline", "--rectify"))
