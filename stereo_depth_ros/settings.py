"""What a user can change about the outputs while the pipeline runs."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from math import isfinite
from typing import Any

from stereo_depth_ros.errors import InputError


@dataclass(frozen=True)
class Meaning:
    """What parameters and options say of a setting.

    Attributes
    ----------
    description
        Its meaning in one line, with its unit.
    limits
        Inclusive; None for what is no number.
    choices
        The allowed words; empty for what is none.
    parameter
        The node's name for it, empty where it is the same.
    """

    description: str
    limits: tuple[float, float] | None = None
    choices: tuple[str, ...] = ()
    parameter: str = ""


MAX_DISPARITY = Meaning(
    "Search range in px, for models that can change it; 0: chosen by the model", (0, 2048)
)


def _setting(default: Any, *meaning: Any, **more: Any) -> Any:
    return field(default=default, metadata={"meaning": Meaning(*meaning, **more)})


@dataclass(frozen=True)
class Settings:
    """Limits and filters; by default only the depth limits act.

    Each is stated here alone: parameters and options take default and meaning from it.

    Raises
    ------
    InputError
        When they contradict each other; the text says which and how.
    """

    output_resolution: str = _setting(
        "input",
        "Size of the outputs: that of the images, or that at which the model saw them",
        choices=("input", "model"),
    )
    max_side: int = _setting(
        768,
        "Longer side in px to which larger images are brought for networks that take any size, as "
        "they would exceed the search range; 0: never",
        (0, 16384),
    )
    min_depth: float = _setting(0.1, "Nearer is -Inf (REP 117), in m", (0.001, 1e4))
    max_depth: float = _setting(50.0, "Farther is +Inf (REP 117), in m", (0.001, 1e4))
    confidence_threshold: float = _setting(
        0.0, "Pixels of at most this confidence become unknown", (0.0, 1.0)
    )
    lr_check: bool = _setting(False, "Left-right check; doubles the inference time")
    lr_tolerance: float = _setting(1.0, "Tolerance of lr_check in px", (0.0, 100.0))
    edge_filter: float = _setting(
        0.0,
        "Remove flying pixels: largest disparity step in px on one surface; 0: off",
        (0.0, 100.0),
    )
    speckle_size: int = _setting(
        0,
        "Remove regions of at most so many pixels; 0: off",
        (0, 1000000),
        parameter="speckle.size",
    )
    speckle_step: float = _setting(
        1.0,
        "Disparity step in px that separates regions",
        (0.0625, 100.0),
        parameter="speckle.step",
    )
    roi: tuple[float, ...] = _setting(
        (),
        "Polygon in px of the output image, as '[[x, y], [x, y], [x, y]]' of up to 100 corners; "
        "outside is unknown",
    )
    temporal_gain: float = _setting(
        1.0,
        "Weight of the newest frame where nothing moves; 1: off. Lags by 1 / gain - 1 frames",
        (0.01, 1.0),
    )
    points_stride: int = _setting(
        1,
        "Every n-th row and column becomes a point of the clouds",
        (1, 64),
        parameter="points.stride",
    )
    clearing_range: float = _setting(
        5.0, "Depth in m at which points/free_space puts what is out of range", (0.1, 1e4)
    )

    def __post_init__(self) -> None:
        for name, meaning in MEANINGS.items():
            if meaning.limits is None:
                continue
            value, (low, high) = getattr(self, name), meaning.limits
            if not low <= value <= high:  # so is a number that is none
                raise InputError(f"{name} is {value:g}; it must be {low:g} to {high:g}")
        if not 0 < self.min_depth < self.max_depth:
            raise InputError(
                f"min_depth ({self.min_depth:g}) must be above 0 and below max_depth "
                f"({self.max_depth:g})"
            )
        choices = MEANINGS["output_resolution"].choices
        if self.output_resolution not in choices:
            raise InputError(
                f"output_resolution is '{self.output_resolution}'; it must be "
                f"{' or '.join(choices)}"
            )
        if not all(map(isfinite, self.roi)):
            raise InputError("roi holds a number that is not finite or beyond all images")
        if len(self.roi) % 2 or 0 < len(self.roi) < 6:
            raise InputError(
                f"roi has {len(self.roi)} numbers; a polygon is x0, y0, x1, y1, … of at least "
                "three corners"
            )


MEANINGS: dict[str, Meaning] = {f.name: f.metadata["meaning"] for f in fields(Settings)}
"""What is said of each field of `Settings`."""
