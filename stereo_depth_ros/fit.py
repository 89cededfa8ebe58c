"""Bring an image pair to an engine's size, and its disparity back, without losing geometry."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.graph_contract import AnySize


def resize_nearest(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Resample without making new values.

    Parameters
    ----------
    values
        (H, W) float32 or bool.
    width, height
        Of the result in px.

    Returns
    -------
    np.ndarray
        (height, width) of the same dtype.
    """
    raw = values.view(np.uint8) if values.dtype == bool else values
    resized = cv2.resize(raw, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.view(values.dtype)


def choose_size(height: int, width: int, usual: tuple[int, int], max_side: int) -> tuple[int, int]:
    """Return the size, in the same proportion, at which a graph for any size sees an image.

    Its longer side is at least that of ``usual`` and at most ``max_side`` px, 0 for no limit: on
    rendered scenes of 288 x 384 px `lite` had 1 % more pixels off by 1 px at their own size.
    """
    side = max(height, width, *usual)
    scale = min(side, max_side or side) / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


@dataclass(frozen=True)
class Fit:
    """How an image lies in an engine's input.

    It is scaled by one factor, as large as fits, put at the top left, and its last column and row
    are repeated.

    Attributes
    ----------
    width, height
        Of the image in px.
    inner_width, inner_height
        Of the scaled image in px.
    engine_width, engine_height
        Of the engine's input in px.
    """

    width: int
    height: int
    inner_width: int
    inner_height: int
    engine_width: int
    engine_height: int

    @classmethod
    def plan(
        cls, width: int, height: int, engine_width: int | None, engine_height: int | None
    ) -> Fit:
        """Plan how images of one size lie in an engine's input.

        Parameters
        ----------
        width, height
            Of the images in px.
        engine_width, engine_height
            Of the engine's input in px; None means that it takes any.

        Returns
        -------
        Fit
            With one scale for rows and columns.
        """
        if engine_width is None or engine_height is None:
            return cls(width, height, width, height, width, height)
        scale = min(engine_width / width, engine_height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(width, height, *inner, engine_width, engine_height)

    @classmethod
    def plan_any_size(cls, width: int, height: int, sizes: AnySize, max_side: int) -> Fit:
        """Plan how images of one size lie in an input that can be made for them.

        Parameters
        ----------
        width, height
            Of the images in px.
        sizes
            Those that the engine's graph takes.
        max_side
            To which the longer side of larger ones is brought, in px; 0 for no limit.

        Returns
        -------
        Fit
            At the images' own size, where that is allowed.
        """
        inner_height, inner_width = choose_size(height, width, sizes.size, max_side)
        engine_height, engine_width = sizes.cover(inner_height, inner_width)
        return cls(width, height, inner_width, inner_height, engine_width, engine_height)

    @property
    def scale(self) -> float:
        """Engine pixels per image pixel along a row, which is what disparity scales with."""
        return self.inner_width / self.width

    def camera(self, camera: StereoCamera) -> StereoCamera:
        """Scale the geometry as the image is scaled.

        Parameters
        ----------
        camera
            Of the image.

        Returns
        -------
        StereoCamera
            Of the scaled image, before padding.
        """
        return camera.resize(self.inner_width, self.inner_height)

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """Scale an image to the inner size.

        Parameters
        ----------
        image
            (height, width, 3) uint8.

        Returns
        -------
        np.ndarray
            (inner_height, inner_width, 3) uint8; the image itself where it has that size.
        """
        if (self.inner_width, self.inner_height) == (self.width, self.height):
            return image
        interpolation = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(image, (self.inner_width, self.inner_height), interpolation=interpolation)

    def pad(self, image: np.ndarray) -> np.ndarray:
        """Pad a scaled image to the engine's size.

        Parameters
        ----------
        image
            (inner_height, inner_width, 3) uint8.

        Returns
        -------
        np.ndarray
            (engine_height, engine_width, 3) uint8; the image itself where it has that size.
        """
        bottom = self.engine_height - self.inner_height
        right = self.engine_width - self.inner_width
        if bottom == 0 and right == 0:
            return image
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)

    def crop(self, answer: np.ndarray) -> np.ndarray:
        """Cut out of an engine's output what shows the image.

        Parameters
        ----------
        answer
            (engine_height, engine_width).

        Returns
        -------
        np.ndarray
            (inner_height, inner_width), a view.
        """
        return answer[: self.inner_height, : self.inner_width]

    def enlarge_disparity(self, disparity: np.ndarray) -> np.ndarray:
        """Bring disparity to the image's size.

        Parameters
        ----------
        disparity
            (inner_height, inner_width) float32, px of the scaled image.

        Returns
        -------
        np.ndarray
            (height, width) float32, px of the image; no point between an edge and what is behind
            it.
        """
        nearest = self.enlarge_nearest(disparity)
        if nearest is disparity:
            return disparity
        smooth = cv2.resize(disparity, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        # Interpolating across an object's edge would invent points between it and what is behind.
        smooth = np.where(np.abs(smooth - nearest) < 0.5, smooth, nearest)
        return smooth / np.float32(self.scale)

    def enlarge_nearest(self, values: np.ndarray) -> np.ndarray:
        """Bring a map to the image's size without making new values.

        Parameters
        ----------
        values
            (inner_height, inner_width) float32 or bool.

        Returns
        -------
        np.ndarray
            (height, width) of the same dtype.
        """
        if (self.inner_width, self.inner_height) == (self.width, self.height):
            return values
        return resize_nearest(values, self.width, self.height)
