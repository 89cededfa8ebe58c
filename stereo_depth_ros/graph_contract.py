"""The graph contract: what every ONNX graph takes and gives, so that any backend runs it.

Inputs ``left`` and ``right`` uint8 (1, H, W, 3) RGB; a graph may have both of ``prior`` and
``prior_confidence`` too, float32 (1, H, W): a disparity of the left view in px and how sure it is,
0 to 1 and 0 for a guess; both are 0 where there is none, which may be everywhere. Outputs
``disparity`` and ``confidence`` float32 (1, H, W). H and W are numbers, or in a graph for any size
the symbols H and W, of which its metadata tells what `AnySize` holds; all else is static.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np

IMAGES = ("left", "right")
PRIOR = ("prior", "prior_confidence")
OUTPUTS = ("disparity", "confidence")
SYMBOLS = ("H", "W")

USUAL_SIZE = 480, 640
"""Height and width in px that a graph for any size is made for."""

MATCHERS = ("sgbm",)
"""What a card, or the metadata ``prior`` of a graph, may name as the source of its prior."""

WORDS = (
    f"inputs {', '.join(IMAGES)} uint8 (1, H, W, 3), both or none of {', '.join(PRIOR)} float32 "
    f"(1, H, W), and outputs {', '.join(OUTPUTS)} float32 (1, H, W), where H and W are numbers or "
    "these symbols"
)

Side = int | str
"""Height or width: px, or its symbol."""
AnySide = TypeVar("AnySide", int, Side)
Tensors = Mapping[str, tuple[tuple[AnySide, ...], type]]
Layout = Tensors[int]
"""Shape and NumPy type by name of tensor."""


@dataclass(frozen=True)
class AnySize:
    """What the metadata of a graph for any size says of sizes, (height, width) in px.

    ``size`` is the one to run it at where nobody asks for another; it takes none whose height or
    width is below that of ``min_size``. Up to the next ``multiple`` px it pads every image itself.
    """

    KEYS: ClassVar = ("size", "min_size", "multiple")

    size: tuple[int, int]
    min_size: tuple[int, int]
    multiple: int

    @classmethod
    def read(cls, metadata: Mapping[str, str]) -> AnySize | None:
        """Return what ``metadata`` says, None for a static graph; a ValueError names a defect."""
        if "size" not in metadata:
            return None
        multiple = metadata.get("multiple", "")
        if not multiple.isdecimal() or int(multiple) == 0:
            raise ValueError(f"metadata 'multiple' is '{multiple}', not a number of px")
        size, min_size = (_read_size(metadata, key) for key in ("size", "min_size"))
        return cls(size, min_size, int(multiple))

    def cover(self, height: int, width: int) -> tuple[int, int]:
        """Return the smallest size that the graph takes and that holds such an image."""
        return max(height, self.min_size[0]), max(width, self.min_size[1])

    def as_metadata(self) -> dict[str, str]:
        """Return the metadata that `read` reads."""
        return {
            "size": "{}x{}".format(*self.size),
            "min_size": "{}x{}".format(*self.min_size),
            "multiple": str(self.multiple),
        }


def _read_size(metadata: Mapping[str, str], key: str) -> tuple[int, int]:
    text = metadata.get(key, "")
    sides = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)", text)
    if not sides:
        raise ValueError(f"metadata '{key}' is '{text}', not HEIGHTxWIDTH in px")
    return int(sides[1]), int(sides[2])


def search_range(text: str, width: int) -> float:
    """Return the largest disparity in px of the metadata ``max_disparity`` at ``width`` px.

    That is the whole row where it is 0, as a graph for any size may say. A ValueError is raised
    for what is no such number.
    """
    number = float(text)
    if not 0 <= number < float("inf"):
        raise ValueError(f"{text} is no number of px")
    return number or float(width)


def has_prior(names: Collection[str]) -> bool:
    """Tell whether the inputs ``names`` hold any of the prior's."""
    return bool(set(PRIOR) & set(names))


def images(height: AnySide, width: AnySide) -> Tensors[AnySide]:
    """Return the two images of a graph for ``height`` x ``width`` px."""
    return dict.fromkeys(IMAGES, ((1, height, width, 3), np.uint8))


def prior(height: AnySide, width: AnySide) -> Tensors[AnySide]:
    """Return the two inputs of the prior."""
    return dict.fromkeys(PRIOR, ((1, height, width), np.float32))


def inputs(height: AnySide, width: AnySide, takes_prior: bool) -> Tensors[AnySide]:
    """Return all inputs of a graph, in their order."""
    return {**images(height, width), **(prior(height, width) if takes_prior else {})}


def outputs(height: AnySide, width: AnySide) -> Tensors[AnySide]:
    """Return the outputs of a graph, in their order."""
    return dict.fromkeys(OUTPUTS, ((1, height, width), np.float32))
