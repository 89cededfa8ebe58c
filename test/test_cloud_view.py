import numpy as np
import pytest

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.cloud_view import BACKGROUND, draw_cloud

RED, GREEN, BLUE = (220, 0, 0), (0, 220, 0), (0, 0, 220)
CAMERA = StereoCamera(160, 120, 130.0, 130.0, 79.5, 59.5, 79.5, 0.1)


def room():
    """A green floor 1 m below the camera up to a blue wall at 6 m, with a red board at 3 m."""
    _, ray_y = CAMERA.rays
    depth = np.minimum(np.where(ray_y > 0, 1.0 / np.maximum(ray_y, 1e-6), np.inf), 6.0)
    depth = np.broadcast_to(depth, (120, 160)).astype(np.float32).copy()
    colours = np.where((depth < 6)[..., None], np.uint8(GREEN), np.uint8(BLUE))
    depth[40:90, 60:100], colours[40:90, 60:100] = 3.0, RED
    return depth, colours


def places(picture, colour):
    return np.argwhere((picture == colour).all(axis=2))


def test_room_is_seen_from_above_and_what_is_near_hides_what_is_behind():
    depth, colours = room()
    picture = draw_cloud(CAMERA.points(depth), colours, (240, 480))

    assert picture.shape == (240, 480, 3)
    red, green, blue = (places(picture, colour) for colour in (RED, GREEN, BLUE))
    assert min(map(len, (red, green, blue))) > 1000
    # The floor lies below the wall, and the board stands before both.
    assert green[:, 0].max() > red[:, 0].max() > blue[:, 0].max()
    assert np.median(blue[:, 0]) < np.median(red[:, 0]) < np.median(green[:, 0])
    low, high = np.percentile(red, (5, 95), axis=0).astype(int)
    board = picture[low[0] : high[0], low[1] : high[1]]
    assert (board == RED).all(axis=2).mean() > 0.8


def test_cloud_fills_the_picture():
    depth, colours = room()
    drawn = (draw_cloud(CAMERA.points(depth), colours) != BACKGROUND).any(axis=2)

    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    assert max(np.ptp(rows) / 480, np.ptp(columns) / 960) > 0.8


def test_points_that_are_not_known_are_not_drawn():
    depth, colours = room()
    colours[:30] = (200, 0, 200)
    assert len(places(draw_cloud(CAMERA.points(depth), colours), (200, 0, 200))) > 1000
    depth[:30] = np.nan

    assert len(places(draw_cloud(CAMERA.points(depth), colours), (200, 0, 200))) == 0


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_cloud_without_points_is_empty(value):
    points = np.full((20, 30, 3), value, np.float32)

    picture = draw_cloud(points, np.zeros((20, 30, 3), np.uint8), (50, 80))

    assert (picture == BACKGROUND).all()
    assert picture.shape == (50, 80, 3)


def test_points_between_two_surfaces_are_not_drawn():
    depth, colours = room()
    depth[40:78, 100] = 4.5  # between the board and the wall behind it
    colours[40:78, 100] = (200, 0, 200)

    picture = draw_cloud(CAMERA.points(depth), colours)

    assert len(places(picture, (200, 0, 200))) == 0


def test_large_clouds_are_thinned_out():
    depth, colours = room()
    points = CAMERA.resize(1280, 960).points(depth.repeat(8, axis=0).repeat(8, axis=1))
    large = draw_cloud(points, colours.repeat(8, axis=0).repeat(8, axis=1), (240, 480))
    small = draw_cloud(CAMERA.points(depth), colours, (240, 480))

    assert (large == small).all(axis=2).mean() > 0.85
