from dataclasses import replace

import cv2
import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.scenes.planar import Patch, plane_scene, render, yard_scene

CAMERA = StereoCamera(160, 120, 120.0, 120.0, 79.5, 59.5, 79.5, 0.1)
OFFSET_CAMERA = replace(CAMERA, cx_right=74.5)

SLANTED = Patch((-3.0, -3.0, 2.0), (6.0, 0.0, 1.5), (0.0, 6.0, 0.5), texture_size=8.0)


@pytest.fixture(scope="module")
def yard():
    return render(yard_scene(), CAMERA)


@pytest.fixture(scope="module")
def wall():
    return render(plane_scene(2.0), CAMERA)


def warped(right, disparity):
    """Return the right image seen at the left's pixels."""
    height, width = disparity.shape
    columns, rows = np.meshgrid(np.arange(width), np.arange(height))
    return cv2.remap(
        right,
        (columns - disparity).astype(np.float32),
        rows.astype(np.float32),
        cv2.INTER_LINEAR,
    )


def warp_error(pair, shift=0.0):
    """Return the mean grey-level error of visible pixels with the truth ``shift`` px off."""
    error = np.abs(pair.left.astype(float) - warped(pair.right, pair.disparity + shift))
    return error[pair.visible].mean()


@pytest.mark.parametrize("camera", [CAMERA, OFFSET_CAMERA], ids=["one cx", "two cx"])
@pytest.mark.parametrize(
    "scene", [plane_scene(2.0), [SLANTED], yard_scene()], ids=["wall", "slanted", "yard"]
)
def test_true_disparity_carries_the_right_image_onto_the_left(scene, camera):
    pair = render(scene, camera)
    assert pair.visible.mean() > 0.7
    error = warp_error(pair)
    # what remains is bilinear interpolation of fine texture
    assert error < 4.0
    assert warp_error(pair, 0.5) > 1.7 * error
    assert warp_error(pair, -0.5) > 1.7 * error


def test_images_and_truth_have_the_size_of_the_camera(yard):
    assert yard.left.shape == yard.right.shape == (120, 160, 3)
    assert yard.left.dtype == yard.right.dtype == np.uint8
    assert yard.depth.shape == yard.disparity.shape == yard.visible.shape == (120, 160)
    assert yard.depth.dtype == yard.disparity.dtype == np.float32
    assert yard.visible.dtype == bool


def test_wall_is_at_its_depth_in_every_pixel(wall):
    assert (wall.depth == np.float32(2.0)).all()
    np.testing.assert_allclose(wall.disparity, 120.0 * 0.1 / 2.0, rtol=1e-6)


@pytest.mark.parametrize("depth", [0.5, 10.0])
def test_wall_fills_both_views_at_any_depth(depth):
    pair = render(plane_scene(depth), CAMERA)
    np.testing.assert_allclose(pair.depth, depth, rtol=1e-6)
    hidden = int(np.ceil(120.0 * 0.1 / depth))
    assert pair.visible[:, hidden:].all()


def test_points_of_a_slanted_plane_lie_on_it():
    pair = render([SLANTED], CAMERA)
    assert np.isfinite(pair.depth).all()
    points = CAMERA.points(pair.depth)
    normal = np.cross(SLANTED.edge_a, SLANTED.edge_b)
    normal /= np.linalg.norm(normal)
    distance = (points - np.array(SLANTED.origin)) @ normal
    assert np.abs(distance).max() < 1e-5
    assert np.ptp(pair.depth) > 0.3


def test_disparity_is_that_of_the_depth(yard):
    hit = np.isfinite(yard.depth)
    expected = 120.0 * 0.1 / yard.depth[hit].astype(float)
    np.testing.assert_allclose(yard.disparity[hit], expected, rtol=1e-5)


def test_sky_is_infinitely_far(yard):
    assert np.isposinf(yard.depth[0]).any()
    assert not np.isnan(yard.depth).any()
    sky = np.isinf(yard.depth)
    assert (yard.depth[sky] > 0).all()
    assert (yard.disparity[sky] == 0).all()


def test_sky_has_the_disparity_of_the_principal_point_offset():
    pair = render([], OFFSET_CAMERA)
    assert np.isposinf(pair.depth).all()
    assert (pair.disparity == 5.0).all()


def test_yard_has_near_and_far(yard):
    assert yard.depth.min() < 1.5
    assert yard.depth[np.isfinite(yard.depth)].max() > 10.0


def test_principal_point_offset_shifts_the_right_image_and_the_disparity(wall):
    pair = render(plane_scene(2.0), OFFSET_CAMERA)
    np.testing.assert_array_equal(pair.left, wall.left)
    np.testing.assert_array_equal(pair.depth, wall.depth)
    np.testing.assert_allclose(pair.disparity, wall.disparity + 5.0, rtol=1e-6)
    difference = pair.right[:, :-5].astype(int) - wall.right[:, 5:]
    assert np.abs(difference).max() <= 1


# A box of 20 columns at 1 m (12 px) before a wall at 4 m (3 px): its shadow is 9 px beside it.
BOX = Patch((-0.001, -2.0, 1.0), (20 / 120, 0, 0), (0, 4.0, 0), (200, 60, 60), 0.3, 9)
BOX_COLUMNS = slice(80, 100)
SHADOW = slice(71, 80)


def test_occluder_hides_the_wall_to_its_left():
    pair = render([*plane_scene(4.0), BOX], CAMERA)
    assert (pair.depth[:, BOX_COLUMNS] == 1.0).all()
    expected = np.ones((120, 160), bool)
    expected[:, :3] = False
    expected[:, SHADOW] = False
    np.testing.assert_array_equal(pair.visible, expected)


def test_occluder_hides_the_sky_to_its_left():
    pair = render([BOX], CAMERA)
    assert np.isinf(pair.depth[:, 60:80]).all()
    # at 12 px against 0
    assert not pair.visible[:, 68:80].any()
    assert pair.visible[:, :68].all()


def test_what_lies_left_of_the_right_view_is_not_visible(wall):
    assert not wall.visible[:, :6].any()
    assert wall.visible[:, 6:].all()


def test_what_lies_right_of_the_right_view_is_not_visible():
    # verged by 10 px against 6 px of disparity
    pair = render(plane_scene(2.0), replace(CAMERA, cx_right=89.5))
    np.testing.assert_allclose(pair.disparity, -4.0, rtol=1e-6)
    assert not pair.visible[:, -4:].any()
    assert pair.visible[:, :-4].all()


def test_nearer_patch_covers_whatever_the_order_of_the_scene():
    one = render([*plane_scene(4.0), BOX], CAMERA)
    other = render([BOX, *plane_scene(4.0)], CAMERA)
    np.testing.assert_array_equal(one.left, other.left)
    np.testing.assert_array_equal(one.depth, other.depth)


def test_patch_behind_the_camera_is_not_seen():
    behind = Patch((-5.0, -5.0, -1.0), (10.0, 0, 0), (0, 10.0, 0))
    assert np.isposinf(render([behind], CAMERA).depth).all()


def test_rendering_repeats_itself(yard):
    again = render(yard_scene(), CAMERA)
    np.testing.assert_array_equal(again.left, yard.left)
    np.testing.assert_array_equal(again.right, yard.right)


def test_surfaces_have_texture_in_every_part(wall):
    parts = wall.left.astype(float).reshape(12, 10, 16, 10, 3)
    assert parts.std(axis=(1, 3)).min() > 2.0


def test_seed_changes_the_texture():
    patch = plane_scene(2.0)[0]
    other = render([replace(patch, seed=patch.seed + 1)], CAMERA)
    assert np.abs(other.left.astype(int) - render([patch], CAMERA).left).mean() > 10
