from dataclasses import replace

import numpy as np
import pytest

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.camera import StereoCamera

LEFT, RIGHT = "/infra1/camera_info", "/infra2/camera_info"
SEEDS = range(25)


def random_camera(random):
    width, height = (int(n) for n in random.integers(120, 400, 2))
    fx = random.uniform(0.5, 1.5) * width
    cx = random.uniform(0.3, 0.7) * width
    return StereoCamera(
        width=width,
        height=height,
        fx=fx,
        fy=fx * random.uniform(0.9, 1.1),
        cx=cx,
        cy=random.uniform(0.3, 0.7) * height,
        cx_right=cx + random.uniform(-20.0, 20.0),
        baseline=random.uniform(0.03, 0.5),
    )


def project(camera, point):
    """Return (x_left, y, x_right) in px, in double precision."""
    x, y, z = point
    return np.array(
        [
            camera.fx * x / z + camera.cx,
            camera.fy * y / z + camera.cy,
            camera.fx * (x - camera.baseline) / z + camera.cx_right,
        ]
    )


def random_point(random, camera):
    z = random.uniform(0.4, 20.0)
    x = (random.uniform(0, camera.width - 1) - camera.cx) / camera.fx * z
    y = (random.uniform(0, camera.height - 1) - camera.cy) / camera.fy * z
    return np.array([x, y, z])


def resize(random, camera):
    width = max(40, int(camera.width * random.uniform(0.4, 1.8)))
    height = max(40, int(camera.height * random.uniform(0.4, 1.8)))
    sx, sy = width / camera.width, height / camera.height
    scale = np.array([sx, sy, sx])
    return camera.resize(width, height), lambda pixel: (pixel + 0.5) * scale - 0.5, sx


def crop_or_pad(random, camera):
    x, y = (int(n) for n in random.integers(-30, 30, 2))
    width = camera.width + int(random.integers(-30, 30))
    height = camera.height + int(random.integers(-30, 30))
    return camera.crop(x, y, width, height), lambda pixel: pixel - np.array([x, y, x]), 1.0


def derived(random, camera):
    """Return a camera after a random chain, its pixel mapping and its scale along a row."""
    steps, scale = [], 1.0
    for _ in range(random.integers(1, 6)):
        step = resize if random.random() < 0.5 else crop_or_pad
        camera, mapping, factor = step(random, camera)
        steps.append(mapping)
        scale *= factor

    def mapped(pixel):
        for step in steps:
            pixel = step(pixel)
        return pixel

    return camera, mapped, scale


@pytest.mark.parametrize("seed", SEEDS)
def test_derived_camera_projects_where_the_resampled_image_shows_the_point(seed):
    random = np.random.default_rng(seed)
    camera = random_camera(random)
    final, mapped, _ = derived(random, camera)
    for _ in range(20):
        point = random_point(random, camera)
        expected = mapped(project(camera, point))
        np.testing.assert_allclose(project(final, point), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_pixel_and_depth_of_a_derived_camera_give_the_point_of_the_original(seed):
    random = np.random.default_rng(seed)
    camera = random_camera(random)
    final, mapped, _ = derived(random, camera)
    depth = random.uniform(0.4, 20.0, (final.height, final.width)).astype(np.float32)
    points = final.points(depth)
    for _ in range(20):
        row, column = int(random.integers(final.height)), int(random.integers(final.width))
        point = points[row, column].astype(np.float64)
        assert point[2] == depth[row, column]
        # float32 points of a wide view hold about 1e-7 of a ray, well below 1e-4 px
        pixel = mapped(project(camera, point))
        np.testing.assert_allclose(pixel[:2], (column, row), rtol=0, atol=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_disparity_scales_with_the_row_and_depth_does_not_change(seed):
    random = np.random.default_rng(seed)
    camera = random_camera(random)
    final, _, scale = derived(random, camera)
    depth = random.uniform(0.4, 20.0, (4, 5)).astype(np.float32)
    disparity = camera.disparity(depth)
    np.testing.assert_allclose(final.disparity(depth), disparity * scale, rtol=0, atol=1e-4)
    np.testing.assert_allclose(
        final.depth((disparity * scale).astype(np.float32)), depth, rtol=2e-4
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_disparity_is_the_difference_of_the_columns_in_both_views(seed):
    random = np.random.default_rng(seed)
    camera = random_camera(random)
    point = random_point(random, camera)
    left, _, right = project(camera, point)
    assert camera.offset != 0
    assert camera.disparity(point[2]) == pytest.approx(left - right, abs=1e-4)


@pytest.mark.parametrize("seed", SEEDS)
def test_roi_and_binning_of_camera_info_map_pixels_by_the_same_rule(seed):
    random = np.random.default_rng(seed)
    sensor = random_camera(random)
    bx, by = (int(n) for n in random.integers(1, 4, 2))
    x, y = (int(n) for n in random.integers(0, 40, 2))
    right_x = int(random.integers(0, 40))
    width, height = sensor.width - 40, sensor.height - 40

    def sent(cx, tx, roi_x):
        k = np.array([[sensor.fx, 0, cx], [0, sensor.fy, sensor.cy], [0, 0, 1]])
        return Calibration(
            width=sensor.width,
            height=sensor.height,
            k=k,
            p=np.hstack([k, [[tx], [0], [0]]]),
            r=np.eye(3),
            binning=(bx, by),
            roi=(roi_x, y, width, height),
        )

    camera = StereoCamera.from_calibrations(
        sent(sensor.cx, 0.0, x), sent(sensor.cx_right, -sensor.fx * sensor.baseline, right_x)
    )
    assert (camera.width, camera.height) == (width // bx, height // by)
    for _ in range(20):
        point = random_point(random, sensor)
        window = project(sensor, point) - np.array([x, y, right_x])
        expected = (window + 0.5) / np.array([bx, by, bx]) - 0.5
        np.testing.assert_allclose(project(camera, point), expected, rtol=0, atol=1e-4)


def test_binning_keeps_the_baseline_in_metres():
    left = Calibration.pinhole(640, 480, 400.0, 320.0, 240.0)
    right = Calibration.pinhole(640, 480, 400.0, 320.0, 240.0, -40.0)
    binned = StereoCamera.from_calibrations(
        replace(left, binning=(2, 2)), replace(right, binning=(2, 2))
    )
    assert (binned.fx, binned.baseline) == (200.0, pytest.approx(0.1))


# Depth, disparity and points


def plain_camera(**changes):
    numbers = {
        "width": 8,
        "height": 6,
        "fx": 10.0,
        "fy": 11.0,
        "cx": 3.25,
        "cy": 2.5,
        "cx_right": 3.25,
        "baseline": 0.2,
    }
    return StereoCamera(**{**numbers, **changes})


def test_depth_is_focal_times_baseline_over_disparity():
    depth = plain_camera().depth(np.array([[4.0, 0.5]], np.float32))
    assert depth.dtype == np.float32
    assert depth.tolist() == [[0.5, 4.0]]


def test_depth_takes_the_principal_point_offset_off_the_disparity():
    camera = plain_camera(cx_right=5.25)
    assert camera.offset == -2.0
    assert camera.depth(np.array([2.0, -1.0], np.float32)).tolist() == [0.5, 2.0]


def test_disparity_of_infinity_or_less_is_infinitely_far():
    camera = plain_camera(cx_right=2.25)
    assert camera.depth(np.array([1.0, 0.5, -3.0], np.float32)).tolist() == [np.inf] * 3


def test_unknown_disparity_stays_unknown_depth():
    assert np.isnan(plain_camera().depth(np.array([np.nan], np.float32))).all()


def test_depth_leaves_the_disparity_unchanged():
    disparity = np.array([4.0, -1.0], np.float32)
    plain_camera(cx_right=2.25).depth(disparity)
    assert disparity.tolist() == [4.0, -1.0]


def test_disparity_of_a_point_at_infinity_is_the_offset():
    assert plain_camera(cx_right=2.25).disparity(np.inf) == 1.0


def test_points_are_in_the_left_optical_frame():
    points = plain_camera().points(np.full((6, 8), 2.0, np.float32))
    assert points.shape == (6, 8, 3)
    assert points.dtype == np.float32
    # right of and below the principal point is +x, +y
    np.testing.assert_allclose(points[5, 7], [3.75 / 10 * 2, 2.5 / 11 * 2, 2.0], rtol=1e-6)
    np.testing.assert_allclose(points[0, 0], [-3.25 / 10 * 2, -2.5 / 11 * 2, 2.0], rtol=1e-6)


@pytest.mark.filterwarnings("error")
def test_infinite_depth_on_the_axis_is_no_point_and_no_warning():
    points = plain_camera(cx=3.0, cy=2.0).points(np.full((6, 8), np.inf, np.float32))
    assert np.isnan(points[2, 3, :2]).all()
    assert not np.isfinite(points).any()


@pytest.mark.parametrize("stride", [2, 3])
def test_strided_points_are_the_points_of_those_rows_and_columns(stride):
    camera = plain_camera()
    depth = np.random.default_rng(0).uniform(1, 5, (6, 8)).astype(np.float32)
    strided = camera.points(depth[::stride, ::stride], stride)
    np.testing.assert_array_equal(strided, camera.points(depth)[::stride, ::stride])


def test_projection_matrix_is_that_of_the_left_view():
    p = plain_camera(cx_right=1.0).p
    assert p.tolist() == [[10, 0, 3.25, 0], [0, 11, 2.5, 0], [0, 0, 1, 0]]


# What cameras say in CameraInfo


def info(source, fx, tx, cx=320.0, cy=240.0, size=(640, 480)):
    return Calibration.pinhole(*size, fx, cx, cy, tx, source=source)


def pair(fx, tx_left, tx_right):
    return info(LEFT, fx, tx_left), info(RIGHT, fx, tx_right)


@pytest.mark.parametrize(
    ("fx", "tx_left", "tx_right", "baseline"),
    [
        pytest.param(381.36, 0.0, -19.05, 0.04995, id="RealSense D435 infra pair"),
        pytest.param(424.22, 0.0, -40.32, 0.09504, id="RealSense D455 infra pair"),
        pytest.param(529.0, 0.0, -529.0 * 0.12, 0.12, id="ZED"),
        pytest.param(451.1, 0.0, -451.1 * 0.075, 0.075, id="OAK-D in metres"),
        pytest.param(721.5377, 44.85728, -339.5242, 0.53273, id="KITTI P2 and P3"),
        pytest.param(721.5377, -387.5744, -771.956, 0.53273, id="both P[3] negative"),
        pytest.param(400.0, 0.0, -400.0 * 5.0, 5.0, id="largest baseline accepted"),
    ],
)
def test_baseline_comes_from_p3_without_a_warning(fx, tx_left, tx_right, baseline):
    camera = StereoCamera.from_calibrations(*pair(fx, tx_left, tx_right))
    assert camera.baseline == pytest.approx(baseline, rel=1e-4)
    assert camera.fx == fx
    assert camera.warnings == ()


@pytest.mark.parametrize(
    ("tx_right", "parameter", "tf", "baseline"),
    [
        pytest.param(-19.05, 0.0, 0.07, 0.04995, id="P[3] before TF"),
        pytest.param(0.0, 0.05, 0.07, 0.05, id="parameter before TF"),
        pytest.param(0.0, 0.05, None, 0.05, id="parameter alone"),
        pytest.param(0.0, 0.0, 0.07, 0.07, id="TF last"),
        pytest.param(-0.0, 0.05, None, 0.05, id="negative zero is unset"),
    ],
)
def test_baseline_comes_from_p3_then_the_parameter_then_tf(tx_right, parameter, tf, baseline):
    camera = StereoCamera.from_calibrations(*pair(381.36, 0.0, tx_right), parameter, lambda: tf)
    assert camera.baseline == pytest.approx(baseline, rel=1e-4)
    assert camera.warnings == ()


def test_parameter_that_agrees_with_p3_gives_no_warning():
    camera = StereoCamera.from_calibrations(*pair(381.36, 0.0, -19.05), 0.05)
    assert camera.baseline == pytest.approx(0.04995, rel=1e-4)
    assert camera.warnings == ()


def test_parameter_that_contradicts_p3_is_ignored_with_a_warning():
    camera = StereoCamera.from_calibrations(*pair(381.36, 0.0, -19.05), 0.12)
    assert camera.baseline == pytest.approx(0.04995, rel=1e-4)
    (warning,) = camera.warnings
    assert "'baseline' = 0.12 m is ignored" in warning
    assert RIGHT in warning


def test_positive_p3_of_the_right_camera_is_used_by_its_size_with_a_warning():
    camera = StereoCamera.from_calibrations(*pair(529.0, 0.0, 529.0 * 0.12))
    assert camera.baseline == pytest.approx(0.12)
    (warning,) = camera.warnings
    assert "sign is wrong" in warning
    assert f"P[3] = 63.48 of {RIGHT}" in warning
    assert "using 0.12 m" in warning


def test_rows_that_do_not_correspond_give_a_warning():
    camera = StereoCamera.from_calibrations(
        info(LEFT, 400.0, 0.0, cy=240.0), info(RIGHT, 400.0, -40.0, cy=242.5)
    )
    (warning,) = camera.warnings
    assert "P[6] (cy) differs by -2.50 px" in warning
    assert camera.cy == 240.0


def test_rows_within_one_pixel_give_no_warning():
    camera = StereoCamera.from_calibrations(
        info(LEFT, 400.0, 0.0, cy=240.0), info(RIGHT, 400.0, -40.0, cy=240.9)
    )
    assert camera.warnings == ()


def test_windows_at_different_rows_give_a_warning():
    left, right = pair(400.0, 0.0, -40.0)
    camera = StereoCamera.from_calibrations(
        replace(left, roi=(0, 0, 640, 240)), replace(right, roi=(0, 20, 640, 240))
    )
    assert any("rows do not correspond" in warning for warning in camera.warnings)


def test_images_with_the_same_size_by_different_binning_are_refused():
    left, right = pair(400.0, 0.0, -40.0)
    with pytest.raises(CalibrationError, match=r"focal length|binning"):
        StereoCamera.from_calibrations(
            replace(left, binning=(2, 2)), replace(right, roi=(160, 120, 320, 240))
        )


def test_p3_without_the_focal_length_is_refused():
    with pytest.raises(CalibrationError, match=r"P\[3\] is not -fx \* baseline"):
        StereoCamera.from_calibrations(*pair(529.0, 0.0, -0.12))


def with_p(calibration, row, column, value):
    p = calibration.p.copy()
    p[row, column] = value
    return replace(calibration, p=p)


def without_calibration(calibration):
    return replace(calibration, k=np.zeros((3, 3)), p=np.zeros((3, 4)))


GOOD_LEFT, GOOD_RIGHT = pair(400.0, 0.0, -40.0)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        pytest.param(
            *pair(381.36, 0.0, 0.0),
            ["baseline is 0", f"P[3] of {RIGHT} is 0", "set parameter 'baseline'", "metres"],
            id="RealSense D435 whose P[3] is zero in both",
        ),
        pytest.param(
            *pair(381.36, -19.05, -19.05),
            [LEFT, RIGHT, "P[3] is -19.05 in both", "one camera_info used twice", "'baseline'"],
            id="one camera_info published as both",
        ),
        pytest.param(
            *pair(451.1, 0.0, -451.1 * 7.5),
            ["7.5 m", "and 5 m", RIGHT, "metres", "P[3]"],
            id="OAK-D in centimetres",
        ),
        pytest.param(
            *pair(700.0, 0.0, -700.0 * 60.0),
            ["60 m", "and 5 m", RIGHT, "millimetres"],
            id="see3cam in millimetres",
        ),
        pytest.param(
            *pair(381.36, -19.05, 0.0),
            [LEFT, "P[3] = -19.05", f"{RIGHT} P[3] = 0", "exchange the two topics"],
            id="swapped topics",
        ),
        pytest.param(
            GOOD_LEFT,
            with_p(GOOD_RIGHT, 0, 3, np.nan),
            [RIGHT, "holds NaN", "recalibrate"],
            id="NaN in P of the right",
        ),
        pytest.param(
            with_p(GOOD_LEFT, 0, 2, np.nan),
            GOOD_RIGHT,
            [LEFT, "holds NaN", "recalibrate"],
            id="NaN in P of the left",
        ),
        pytest.param(
            without_calibration(GOOD_LEFT),
            GOOD_RIGHT,
            [LEFT, "K[0] = 0 and P[0] = 0", "not calibrated"],
            id="uncalibrated left",
        ),
        pytest.param(
            GOOD_LEFT,
            without_calibration(GOOD_RIGHT),
            [RIGHT, "K[0] = 0 and P[0] = 0", "not calibrated"],
            id="uncalibrated right",
        ),
        pytest.param(
            GOOD_LEFT,
            info(RIGHT, 400.0, -40.0, size=(320, 240)),
            [LEFT, "640 x 480", RIGHT, "320 x 240", "same resolution"],
            id="sizes differ",
        ),
        pytest.param(
            GOOD_LEFT,
            info(RIGHT, 410.0, -41.0),
            ["P[0] is 400", LEFT, "410", RIGHT, "stereo pair"],
            id="focal lengths differ",
        ),
    ],
)
def test_calibration_without_metric_depth_is_refused_with_cause_and_cure(left, right, words):
    with pytest.raises(CalibrationError) as caught:
        StereoCamera.from_calibrations(left, right)
    for word in words:
        assert word in str(caught.value)


def test_unit_hint_for_a_baseline_in_centimetres_names_centimetres():
    with pytest.raises(CalibrationError, match="centimetres"):
        StereoCamera.from_calibrations(*pair(451.1, 0.0, -451.1 * 7.5))


@pytest.mark.parametrize(
    ("parameter", "tf", "origin"),
    [(60.0, None, "parameter 'baseline'"), (0.0, 60.0, "TF")],
)
def test_too_large_baseline_names_where_it_comes_from(parameter, tf, origin):
    with pytest.raises(CalibrationError) as caught:
        StereoCamera.from_calibrations(*pair(381.36, 0.0, 0.0), parameter, lambda: tf)
    assert f"60 m from {origin}" in str(caught.value)


@pytest.mark.parametrize("tf", [0.0, np.nan])
def test_tf_without_a_distance_is_refused(tf):
    with pytest.raises(CalibrationError, match="set parameter 'baseline'"):
        StereoCamera.from_calibrations(*pair(381.36, 0.0, 0.0), tf_baseline=lambda: tf)


def test_focal_lengths_within_one_percent_are_accepted():
    camera = StereoCamera.from_calibrations(info(LEFT, 400.0, 0.0), info(RIGHT, 402.0, -40.2))
    assert camera.baseline == pytest.approx(0.1)


def test_principal_points_of_both_views_are_kept():
    camera = StereoCamera.from_calibrations(
        info(LEFT, 400.0, 0.0, cx=310.0), info(RIGHT, 400.0, -40.0, cx=341.5)
    )
    assert (camera.cx, camera.cx_right, camera.offset) == (310.0, 341.5, -31.5)


# camera_info that lies

D455 = [
    info(LEFT, 424.22, 0.0, 423.5, 238.1, (848, 480)),
    info(RIGHT, 424.22, -40.3, 423.5, 238.1, (848, 480)),
]
RIGHT_RIGS = {
    "RealSense D455": (D455, 0.095),
    "RealSense D435 at 640 x 480": (
        [info(LEFT, 381.4, 0.0, 318.9, 238.6), info(RIGHT, 381.4, -19.07, 318.9, 238.6)],
        0.05,
    ),
    "ZED 2 HD720": (
        [
            info(LEFT, 529.9, 0.0, 640.6, 357.4, (1280, 720)),
            info(RIGHT, 529.9, -63.5, 640.6, 357.4, (1280, 720)),
        ],
        0.1198,
    ),
    "KITTI colour": (
        [
            info(LEFT, 721.54, 44.857, 609.56, 172.85, (1242, 375)),
            info(RIGHT, 721.54, -339.52, 609.56, 172.85, (1242, 375)),
        ],
        0.5327,
    ),
    "EuRoC": (
        [
            info(LEFT, 435.2, 0.0, 367.45, 252.2, (752, 480)),
            info(RIGHT, 435.2, -47.9, 367.45, 252.2, (752, 480)),
        ],
        0.1101,
    ),
    "Middlebury with doffs": (
        [
            info(LEFT, 3997.684, 0.0, 1176.728, 1011.728, (2964, 1988)),
            info(RIGHT, 3997.684, -771.557, 1307.839, 1011.728, (2964, 1988)),
        ],
        0.193001,
    ),
    "verged, principal points towards one side": (
        [
            info(LEFT, 1734.0, 0.0, 333.5, 541.9, (1920, 1080)),
            info(RIGHT, 1734.0, -930.0, 333.5, 541.9, (1920, 1080)),
        ],
        0.5363,
    ),
    "lower half, cropped at the driver": (
        [
            info(LEFT, 400.0, 0.0, 320.0, 2.0, (640, 240)),
            info(RIGHT, 400.0, -40.0, 320.0, 2.0, (640, 240)),
        ],
        0.1,
    ),
    "binning of 2": ([replace(c, binning=(2, 2)) for c in D455], 0.095),
    "ROI in the corner": ([replace(c, roi=(424, 240, 424, 240)) for c in D455], 0.095),
    "ROI in the corner, binned": (
        [replace(c, roi=(0, 0, 424, 240), binning=(2, 2)) for c in D455],
        0.095,
    ),
    "halved side by side": (
        [
            with_p(c, 0, 0, c.p[0, 0] / 2)
            for c in (info(LEFT, 700.0, 0.0), info(RIGHT, 700.0, -42.0))
        ],
        0.12,
    ),
    "telephoto": ([info(LEFT, 60000.0, 0.0), info(RIGHT, 60000.0, -6000.0)], 0.1),
    "KITTI P with its offsets of rows and depth": (
        [
            with_p(with_p(info(LEFT, 721.54, 44.857), 1, 3, 0.2164), 2, 3, 0.002746),
            with_p(with_p(info(RIGHT, 721.54, -339.52), 1, 3, 2.2), 2, 3, 0.00273),
        ],
        0.5327,
    ),
}


@pytest.mark.parametrize(("calibrations", "baseline"), RIGHT_RIGS.values(), ids=RIGHT_RIGS)
def test_rig_that_is_right_gives_no_warning(calibrations, baseline):
    camera = StereoCamera.from_calibrations(*calibrations)
    assert camera.warnings == ()
    assert camera.baseline == pytest.approx(baseline, rel=1e-3)


@pytest.mark.parametrize("factor", [2, 4])
def test_p_of_the_binned_image_with_the_size_of_the_sensor_gives_a_warning(factor):
    # 480 x 360 at f = 345.6 px, binned: P is of the small image, width and height of the sensor.
    focal, cx, cy = 345.6 / factor, 239.5 / factor, 179.5 / factor
    pair = [
        replace(info(name, focal, tx, cx, cy, (480, 360)), binning=(factor, factor))
        for name, tx in ((LEFT, 0.0), (RIGHT, -0.12 * focal))
    ]
    camera = StereoCamera.from_calibrations(*pair)
    (warning,) = camera.warnings
    assert f"{LEFT}: the principal point P[2], P[6] = {cx:g}, {cy:g}" in warning
    assert "480 x 360" in warning
    # A wall at 2 m is that much too near.
    assert camera.depth(np.float32([focal * 0.12 / 2]))[0] == pytest.approx(2 / factor)


@pytest.mark.parametrize("factor", [2, 3])
def test_p_of_the_sensor_with_the_size_of_the_binned_image_gives_a_warning(factor):
    size = (480 // factor, 360 // factor)
    camera = StereoCamera.from_calibrations(
        info(LEFT, 345.6, 0.0, 239.5, 179.5, size), info(RIGHT, 345.6, -41.5, 239.5, 179.5, size)
    )
    assert any("far from its centre" in warning for warning in camera.warnings)


def test_size_of_binned_images_says_how_it_came_about():
    left, right = (
        replace(c, width=240, height=180, binning=(2, 2)) for c in pair(345.6, 0.0, -41.5)
    )
    assert (
        StereoCamera.from_calibrations(left, right).size_origin
        == "240 x 180 over a binning of 2 x 2"
    )
    assert StereoCamera.from_calibrations(*pair(345.6, 0.0, -41.5)).size_origin == ""


def turned(calibration):
    """P = K * R for a rotation of 3 degrees about y and z."""
    angle = np.radians(3.0)
    about_y = np.array(
        [[np.cos(angle), 0, np.sin(angle)], [0, 1, 0], [-np.sin(angle), 0, np.cos(angle)]]
    )
    about_z = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    p = calibration.p.copy()
    p[:, :3] = calibration.k @ about_y @ about_z
    return replace(calibration, p=p)


@pytest.mark.parametrize(
    ("left", "right", "words"),
    [
        pytest.param(
            turned(GOOD_LEFT), turned(GOOD_RIGHT), [LEFT, "third row", "K * R"], id="P is K times R"
        ),
        pytest.param(
            GOOD_LEFT, with_p(GOOD_RIGHT, 0, 1, 12.0), [RIGHT, "P[1] = 12"], id="skew in P"
        ),
        pytest.param(
            GOOD_LEFT, with_p(GOOD_RIGHT, 2, 2, 0.0), [RIGHT, "0 0 0"], id="third row of P empty"
        ),
        pytest.param(
            GOOD_LEFT,
            with_p(info(RIGHT, 400.0, 0.0), 1, 3, -40.0),
            ["P[7] is 0", "-40", LEFT, RIGHT, "vertical pairs are not supported"],
            id="vertical pair",
        ),
        pytest.param(
            info(LEFT, 400.0, -20.0),
            info(RIGHT, 400.0, -20.0),
            ["-20 in both", LEFT, RIGHT],
            id="twice",
        ),
        pytest.param(
            with_p(GOOD_LEFT, 1, 1, 40000.0), GOOD_RIGHT, [LEFT, "fy = 40000"], id="fy of 100 fx"
        ),
        pytest.param(
            with_p(GOOD_LEFT, 0, 2, 1e300), GOOD_RIGHT, [LEFT, "cx = 1e+300"], id="cx of 1e300"
        ),
        pytest.param(
            GOOD_LEFT, with_p(GOOD_RIGHT, 1, 2, -1e9), [RIGHT, "cy = -1e+09"], id="cy of -1e9"
        ),
        pytest.param(
            GOOD_LEFT, with_p(GOOD_RIGHT, 0, 2, 0.0), [RIGHT, "P[2] = 0"], id="right P[2] empty"
        ),
        pytest.param(
            with_p(GOOD_LEFT, 1, 2, 0.0), GOOD_RIGHT, [LEFT, "P[6] = 0"], id="left P[6] empty"
        ),
        pytest.param(
            info(LEFT, 1.0, 0.0),
            info(RIGHT, 1.0, -0.1),
            [LEFT, "fx = 1"],
            id="focal length of 1 px",
        ),
        pytest.param(
            info(LEFT, 1e300, 0.0), info(RIGHT, 1e300, -1e299), [LEFT, "1e+300"], id="fx of 1e300"
        ),
    ],
)
def test_projection_of_no_rectified_camera_is_refused(left, right, words):
    with pytest.raises(CalibrationError) as caught:
        StereoCamera.from_calibrations(left, right)
    for word in words:
        assert word in str(caught.value)


def test_principal_points_that_are_far_apart_give_a_warning():
    camera = StereoCamera.from_calibrations(GOOD_LEFT, with_p(GOOD_RIGHT, 0, 2, 5.0))
    (warning,) = camera.warnings
    assert "P[2] (cx) differs by 315 px" in warning
    assert "49 % of the image width" in warning


def test_k_is_not_needed_for_rectified_images():
    left, right = (replace(c, k=np.zeros((3, 3))) for c in (GOOD_LEFT, GOOD_RIGHT))
    camera = StereoCamera.from_calibrations(left, right)
    assert (camera.fx, camera.baseline, camera.warnings) == (400.0, pytest.approx(0.1), ())


def test_baseline_of_the_user_counts_where_one_camera_info_is_used_twice():
    camera = StereoCamera.from_calibrations(*pair(381.36, -19.05, -19.05), 0.05)
    assert (camera.baseline, camera.warnings) == (0.05, ())


def test_baseline_of_the_user_counts_where_p3_is_in_another_unit():
    camera = StereoCamera.from_calibrations(*pair(451.1, 0.0, -451.1 * 7.5), 0.075)
    assert camera.baseline == 0.075
    (warning,) = camera.warnings
    assert "gives 7.5 m: parameter 'baseline' = 0.075 m counts" in warning


def test_unknown_baseline_is_told_in_the_words_of_the_command_line():
    with pytest.raises(CalibrationError) as caught:
        StereoCamera.from_calibrations(*pair(381.36, 0.0, 0.0), option="--baseline")
    assert "set --baseline to the distance" in str(caught.value)
    assert "TF" not in str(caught.value)
    assert "parameter" not in str(caught.value)
