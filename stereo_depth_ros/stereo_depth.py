"""What matching one pair gives to its user: arrays, pictures and files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np

from stereo_depth_ros.atomic_file import write_npy
from stereo_depth_ros.calibration import CalibrationError
from stereo_depth_ros.camera import StereoCamera
from stereo_depth_ros.engines import EngineSpec
from stereo_depth_ros.pictures import write_image, write_ply
from stereo_depth_ros.result_folder import ResultFolder
from stereo_depth_ros.result_pictures import draw_overview, draw_result
from stereo_depth_ros.stereo_match import StereoMatch

MAKER = "run"
"""Who, by their record, wrote the files of `StereoDepth.save`: `stereo-depth run` does it so."""

MATCH_FILES = frozenset(
    ("disparity.npy", "disparity.png", "confidence.npy", "confidence.png", "overview.png")
)
METRIC_FILES = frozenset(("depth.npy", "depth.png", "points.ply", "cloud.png"))
"""What `StereoDepth.save` writes, and what it adds with a calibration."""


@dataclass(frozen=True, eq=False, repr=False)
class StereoDepth:
    """Disparity, confidence and depth of one pair, of the size (H, W) of its images.

    Attributes
    ----------
    match
        What was matched, and with which settings.
    engine
        What matched it.
    is_metric
        Whether a calibration was given, hence whether there is depth.
    warnings
        Cause and cure of what spoils the depth.
    """

    match: StereoMatch
    engine: EngineSpec
    is_metric: bool
    warnings: tuple[str, ...] = ()

    @property
    def image(self) -> np.ndarray:
        """Left view, rectified, (H, W, 3) uint8 RGB."""
        return self.match.image

    @property
    def disparity(self) -> np.ndarray:
        """x_left - x_right, (H, W) float32 px, finite: a guess where the confidence is 0."""
        return self.match.disparity

    @cached_property
    def confidence(self) -> np.ndarray:
        """(H, W) float32, 0 to 1; 0 where the disparity is a guess or a filter rejects it."""
        return np.where(self.match.valid, self.match.confidence, np.float32(0))

    @property
    def depth(self) -> np.ndarray:
        """Along Z, (H, W) float32 m: NaN unknown, +Inf too far, -Inf too near (REP 117).

        Raises
        ------
        CalibrationError
            Without a calibration.
        """
        self._check_metric()
        return self.match.depth

    @cached_property
    def points(self) -> np.ndarray:
        """Points x right, y down, z forward of the left camera, (H, W, 3) float32 m, NaN unknown.

        Raises
        ------
        CalibrationError
            Without a calibration.
        """
        depth = self.depth
        return self.camera.points(np.where(np.isfinite(depth), depth, np.float32(np.nan)))

    @property
    def camera(self) -> StereoCamera:
        """Focal length, principal points and baseline of the arrays.

        Raises
        ------
        CalibrationError
            Without a calibration.
        """
        self._check_metric()
        return self.match.camera

    def plot(self) -> np.ndarray:
        """Return an overview of all that there is as one picture, (…, …, 3) uint8 RGB."""
        return draw_overview(*self._arrays)

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the arrays, their pictures and the point cloud into ``folder``.

        The files are those of `stereo-depth run`: disparity, confidence and depth as .npy and
        .png, points.ply, cloud.png, overview.png, and results.json, which tells them from others.
        They appear together or not at all, and replace those of an earlier pair alone.

        Raises
        ------
        InputError
            Where another file has the name of one of them.
        WriteError
            When a file cannot be written.
        """
        arrays = {"disparity": self.disparity, "confidence": self.confidence}
        if self.is_metric:
            arrays["depth"] = self.depth
        pictures = {**draw_result(*self._arrays), "overview": self.plot()}
        with ResultFolder(Path(folder), MAKER).replace(str(self.engine)) as scratch:
            for name, array in arrays.items():
                write_npy(scratch / f"{name}.npy", array)
            for name, picture in pictures.items():
                write_image(scratch / f"{name}.png", picture)
            if self.is_metric:
                write_ply(scratch / "points.ply", self.points, self.image)

    @property
    def _arrays(
        self,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray | None, np.ndarray | None]:
        depth, points = (self.depth, self.points) if self.is_metric else (None, None)
        return self.image, self.disparity, self.confidence, depth, points

    def _check_metric(self) -> None:
        if not self.is_metric:
            raise CalibrationError(
                "there is no depth without a calibration: give match() a calibration file, a "
                "StereoCamera, or focal_px and baseline_m"
            )

    def _repr_png_(self) -> bytes:
        _, content = cv2.imencode(".png", cv2.cvtColor(self.plot(), cv2.COLOR_RGB2BGR))
        return content.tobytes()

    def __repr__(self) -> str:
        height, width = self.disparity.shape
        percent = 100 * self.match.valid.mean()
        text = f"{width} x {height} px by {self.engine.name}, {percent:.0f} % valid"
        known = self.disparity[self.match.valid]
        if known.size:
            text += f", disparity {known.min():.1f} to {known.max():.1f} px"
        if self.is_metric:
            finite = self.depth[np.isfinite(self.depth)]
            if finite.size:
                text += f", depth {finite.min():.2f} to {finite.max():.2f} m"
        return f"<StereoDepth: {text}>"
