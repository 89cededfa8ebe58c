"""Bring an image pair to an engine's size, and its disparity back, without losing geometry."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from stereo_depth_ros.camera import StereoCamera


def resize_nearest(values: np.ndarray, width: int, height: int) -> np.ndarray:
    """Return ``values`` (float32 or bool) at ``width`` x ``height`` px, none of them new."""
    raw = values.view(np.uint8) if values.dtype == bool else values
    resized = cv2.resize(raw, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return resized.view(values.dtype)


@dataclass(frozen=True)
class Fit:
    """How a ``width`` x ``height`` image lies in an engine's input.

    The image is scaled by one factor to ``inner_width`` x ``inner_height``, as large as fits, put
    at the top left of ``engine_width`` x ``engine_height``, and its last column and row repeated.
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
        """Plan for an engine of that size; None means that it takes any."""
        if engine_width is None or engine_height is None:
            return cls(width, height, width, height, width, height)
        scale = min(engine_width / width, engine_height / height)
        inner = max(1, round(width * scale)), max(1, round(height * scale))
        return cls(width, height, *inner, engine_width, engine_height)

    @property
    def scale(self) -> float:
        """Engine pixels per image pixel along a row, which is what disparity scales with."""
        return self.inner_width / self.width

    def camera(self, camera: StereoCamera) -> StereoCamera:
        """Return the geometry of the scaled image before padding, from that of the image."""
        return camera.resize(self.inner_width, self.inner_height)

    def shrink(self, image: np.ndarray) -> np.ndarray:
        """Return ``image`` (height, width, 3) scaled to the inner size."""
        if (self.inner_width, self.inner_height) == (self.width, self.height):
            return image
        interpolation = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
        return cv2.resize(image, (self.inner_width, self.inner_height), interpolation=interpolation)

    def pad(self, image: np.ndarray) -> np.ndarray:
        """Return an inner-size ``image`` padded to the engine's size."""
        bottom = self.engine_height - self.inner_height
        right = self.engine_width - self.inner_width
        if bottom == 0 and right == 0:
            return image
        return cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_REPLICATE)

    def crop(self, answer: np.ndarray) -> np.ndarray:
        """Return the part of an engine's ``answer`` (engine size) that shows the image."""
        return answer[: self.inner_height, : self.inner_width]

    def enlarge_disparity(self, disparity: np.ndarray) -> np.ndarray:
        """Return inner-size ``disparity`` at the image's size, in the image's px."""
        nearest = self.enlarge_nearest(disparity)
        if nearest is disparity:
            return disparity
        smooth = cv2.resize(disparity, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        # Interpolating across an object's edge would invent points between it and what is behind.
        smooth = np.where(np.abs(smooth - nearest) < 0.5, smooth, nearest)
        return smooth / np.float32(self.scale)

    def enlarge_nearest(self, values: np.ndarray) -> np.ndarray:
        """Return inner-size ``values`` (float32 or bool) at the image's size, none of them new."""
        if (self.inner_width, self.inner_height) == (self.width, self.height):
            return values
        return resize_nearest(values, self.width, self.height)
