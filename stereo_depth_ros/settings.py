"""What a user can change about the outputs while the pipeline runs."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from stereo_depth_ros.errors import InputError


@dataclass(frozen=True)
class Quantity:
    """What parameters and options say of a number: its meaning and its inclusive ``limits``."""

    description: str
    limits: tuple[float, float]


QUANTITIES = {
    "max_disparity": Quantity(
        "Search range in px, for models that can change it; 0: chosen by the model", (0, 2048)
    ),
    "min_depth": Quantity("Nearer is -Inf (REP 117), in m", (0.001, 1e4)),
    "max_depth": Quantity("Farther is +Inf (REP 117), in m", (0.001, 1e4)),
    "confidence_threshold": Quantity(
        "Pixels of at most this confidence become unknown", (0.0, 1.0)
    ),
    "lr_tolerance": Quantity("Tolerance of lr_check in px", (0.0, 100.0)),
    "edge_filter": Quantity(
        "Remove flying pixels: largest disparity step in px on one surface; 0: off", (0.0, 100.0)
    ),
    "speckle_size": Quantity("Remove regions of at most so many pixels; 0: off", (0, 1000000)),
    "speckle_step": Quantity("Disparity step in px that separates regions", (0.0625, 100.0)),
    "temporal_gain": Quantity(
        "Weight of the newest frame where nothing moves; 1: off. Lags by 1 / gain - 1 frames",
        (0.01, 1.0),
    ),
    "points_stride": Quantity("Every n-th row and column becomes a point of the clouds", (1, 64)),
    "clearing_range": Quantity(
        "Depth in m at which points/free_space puts what is out of range", (0.1, 1e4)
    ),
}
"""Of the numbers in `Settings`, and of max_disparity; stated once for node and command line."""

LR_CHECK = "Left-right check; doubles the inference time"


@dataclass(frozen=True)
class Settings:
    """Limits and filters; by default only the depth limits act.

    Attributes
    ----------
    min_depth, max_depth
        Limits along Z in metres; nearer becomes -Inf, farther +Inf.
    confidence_threshold
        Pixels of at most this confidence become unknown, 0..1.
    lr_check, lr_tolerance
        Left-right check, at the price of a second inference, and its tolerance in px.
    edge_filter
        Largest disparity step in px on a surface, for removing flying pixels; 0 is off.
    speckle_size, speckle_step
        Largest region in px that is removed, 0 is off, and the step in px that separates regions.
    roi
        Polygon x0 y0 x1 y1 … in px of the output image; what lies outside becomes unknown.
    temporal_gain
        Weight of the newest frame where nothing moves, 1 is off; the lag is 1 / gain - 1 frames.
    points_stride
        Every n-th row and column makes a point.
    clearing_range
        Depth in metres at which free-space points are put where nothing is in range.
    output_resolution
        "input" for outputs at the size of the images, "model" for the size the engine saw them at.
    """

    min_depth: float = 0.1
    max_depth: float = 50.0
    confidence_threshold: float = 0.0
    lr_check: bool = False
    lr_tolerance: float = 1.0
    edge_filter: float = 0.0
    speckle_size: int = 0
    speckle_step: float = 1.0
    roi: tuple[float, ...] = ()
    temporal_gain: float = 1.0
    points_stride: int = 1
    clearing_range: float = 5.0
    output_resolution: str = "input"

    def __post_init__(self) -> None:
        numbers = [self.confidence_threshold, self.lr_tolerance, self.edge_filter]
        numbers += [self.speckle_step, self.temporal_gain, self.clearing_range]
        if not all(map(isfinite, numbers)) or self.points_stride < 1 or self.temporal_gain <= 0:
            raise InputError(
                f"a setting is not finite, points_stride is below 1 or temporal_gain not above 0: "
                f"{self}"
            )
        if not 0 < self.min_depth < self.max_depth:
            raise InputError(
                f"min_depth ({self.min_depth:g}) must be above 0 and below max_depth "
                f"({self.max_depth:g})"
            )
        if self.output_resolution not in ("input", "model"):
            raise InputError(
                f"output_resolution is '{self.output_resolution}'; it must be input or model"
            )
        if not all(map(isfinite, self.roi)):
            raise InputError("roi holds a number that is not finite or beyond all images")
        if len(self.roi) % 2 or 0 < len(self.roi) < 6:
            raise InputError(
                f"roi has {len(self.roi)} numbers; a polygon is x0, y0, x1, y1, … of at least "
                "three corners"
            )
