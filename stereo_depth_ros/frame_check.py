"""Whether the images of a frame are what its calibration is for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.errors import InputError


class FrameError(InputError):
    """A frame that cannot be processed; the text names the cause and the cure."""


def check_size(side: str, size: Sequence[int], camera: StereoCamera) -> None:
    """Compare an image's size with what its camera_info says.

    Parameters
    ----------
    side
        "left" or "right", for the text.
    size
        (width, height) of the image in px.
    camera
        Geometry of the pair.

    Raises
    ------
    FrameError
        When they differ.
    """
    if tuple(size) != (camera.width, camera.height):
        cure = "the driver must publish the camera_info of the resolution it sends"
        if camera.size_origin:
            cure = (
                f"that is {camera.size_origin}: if width and height are those of the binned image "
                "already, binning_x and binning_y must be 1"
            )
        raise FrameError(
            f"{side} image is {' x '.join(map(str, size))} but camera_info says {camera.width} x "
            f"{camera.height}; {cure}"
        )


def check_shapes(left: np.ndarray, right: np.ndarray, camera: StereoCamera) -> None:
    """Check that both images are RGB of the camera's size.

    Parameters
    ----------
    left, right
        The images.
    camera
        Geometry of the pair.

    Raises
    ------
    FrameError
        Where one is not (H, W, 3), or not of that size.
    """
    for side, image in (("left", left), ("right", right)):
        check_size(side, image.shape[1::-1], camera)
        if image.shape[2:] != (3,):
            raise FrameError(f"{side} image has the shape {image.shape}; it must be H x W x 3")
