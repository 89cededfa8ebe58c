"""What a training run depends on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.training.data import SCENES, parse_data


@dataclass(frozen=True)
class Recipe:
    """What a training run depends on; sizes are (height, width) px.

    Raises
    ------
    InputError
        For a value that nothing can be trained with.
    """

    network: str
    variant: str = ""  # empty for that of the weights to begin from, or the network's first
    data: tuple[str, ...] = (SCENES,)  # as `parse_data` reads them
    steps: int = 60000
    minutes: float | None = None  # how long to train instead, with all validations but the last
    batch: int = 8  # samples at once and process
    accumulate: int = 1  # batches a step
    scene: tuple[int, int] = (384, 640)
    crop: tuple[int, int] = (384, 512)  # as high as the scene, or sky would be anywhere
    reuse: int = 1
    learning_rate: float = 1e-3
    weight_decay: float = 1e-4
    clip: float = 1.0  # of the gradient's norm
    iterations: int | None = None  # refinement steps in training, None for as many as in use
    freeze: tuple[str, ...] = ()  # as `freezing.freeze` takes them
    freeze_norm: bool = False  # whether batch norms keep their statistics
    seed: int = 0
    photos: str = ""  # a folder, empty for drawn textures alone
    begin: str = ""  # weights to begin from, a .safetensors, empty for random ones
    validate: str = ""  # pairs as ``data`` names them, empty for rendered ones
    validate_every: int = 500

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "accumulate", "reuse", "validate_every", "iterations"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}, at least 1 is needed")
        if not 0 <= self.seed < 1 << 63:  # what PyTorch takes
            raise InputError(f"seed is {self.seed}, 0 or more is needed, and below 2^63")
        for name in ("learning_rate", "weight_decay"):
            if not 0 <= getattr(self, name) < math.inf:
                raise InputError(f"{name} is {getattr(self, name)}, 0 or more is needed")
        for name in ("minutes", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name} is {value}, a number above 0 is needed")
        if not self.data:
            raise InputError("there is nothing to train on; give data")
        for text in self.data:
            parse_data(text)
        if self.validate and parse_data(self.validate).folder is None:
            raise InputError("validate names no folder; leave it out to validate on rendered pairs")
