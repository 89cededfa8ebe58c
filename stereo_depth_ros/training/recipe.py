"""What a training run depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.training.objectives import objective_of


@dataclass(frozen=True)
class Recipe:
    """What a training run depends on; sizes are (height, width) px.

    Raises
    ------
    InputError
        For a network that cannot be trained, or a value that nothing can be trained with.
    """

    network: str
    steps: int = 60000
    minutes: float | None = None  # how long to train instead, with all validations but the last
    batch: int = 8  # samples a step and process
    scene: tuple[int, int] = (384, 640)
    crop: tuple[int, int] = (384, 512)  # as high as the scene, or sky would be anywhere
    reuse: int = 1
    learning_rate: float = 1e-3
    seed: int = 0
    photos: str = ""  # a folder, empty for drawn textures alone
    begin: str = ""  # weights to begin from, a .safetensors, empty for random ones
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "reuse", "validate_every"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}, at least 1 is needed")
        if not 0 <= self.seed < 1 << 63:  # what PyTorch takes
            raise InputError(f"seed is {self.seed}, 0 or more is needed, and below 2^63")
        if not 0 <= self.learning_rate < math.inf:
            raise InputError(f"learning_rate is {self.learning_rate}, 0 or more is needed")
        if self.minutes is not None and not 0 < self.minutes < math.inf:
            raise InputError(f"minutes is {self.minutes}, a number above 0 is needed")
        multiple = objective_of(self.network).network.multiple
        if any(side % multiple for side in self.crop):
            height, width = self.crop
            raise InputError(f"crop is {height}x{width}; give multiples of {multiple}")
