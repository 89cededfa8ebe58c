"""What the user says of the cameras of a recording."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from stereo_depth_ros.file_hash import sha256_of
from stereo_depth_ros.pair_geometry import PairGeometry, find_geometry

RECTIFY = ("auto", "always", "never")


@dataclass(frozen=True)
class Rig:
    """The cameras, as far as no message says it.

    Attributes
    ----------
    calibration
        The path of a file that `read_calibration` reads, or two joined by a comma; empty for none.
    baseline
        Distance between the cameras in m, where the calibration gives none; 0 where it is unknown.
    rectify
        Whether to rectify the images: "always", "never", or "auto", by what the recording says.
    """

    calibration: str = ""
    baseline: float = 0.0
    rectify: str = "auto"

    @property
    def identity(self) -> dict[str, object]:
        """What the geometry depends on, as JSON holds it, by the option that says it."""
        names = [self.calibration, *self.calibration.split(",")]
        hashes = [sha256_of(Path(name)) for name in names if name and Path(name).is_file()]
        return {
            "calibration": [self.calibration, *hashes],
            "baseline": self.baseline,
            "rectify": self.rectify,
        }

    @property
    def notes(self) -> list[str]:
        """What follows from it, a line each, for a recording that has no camera_info."""
        return [] if self.calibration else ["no calibration: disparity alone; --calib gives depth"]

    def find_geometry(self, width: int, height: int, is_raw: bool = False) -> PairGeometry:
        """Return the geometry of images, by the file.

        Parameters
        ----------
        width, height
            Of the images in px.
        is_raw
            Whether the recording says that they are not rectified.

        Raises
        ------
        CalibrationError
            As `stereo_depth_ros.pair_geometry.find_geometry`.
        """

        def find(rectify: bool) -> PairGeometry:
            return find_geometry(
                self.calibration or None,
                width,
                height,
                baseline_m=self.baseline,
                rectify=rectify,
                options=("--baseline", "--rectify always"),
            )

        geometry = find(self.rectify == "always")
        if self.rectify == "never":
            return replace(geometry, rectify=None)
        if self.rectify == "auto" and is_raw and geometry.is_in_doubt:
            return find(True)
        return geometry
