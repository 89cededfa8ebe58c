"""The graph contract: what every ONNX graph takes and gives, so that any backend runs it.

Inputs ``left`` and ``right`` uint8 (1, H, W, 3) RGB; a graph may have both of ``prior`` and
``prior_confidence`` too, float32 (1, H, W): a disparity of the left view in px and how sure it is,
0 to 1 and 0 for a guess; both are 0 where there is none, which may be everywhere. Outputs
``disparity`` and ``confidence`` float32 (1, H, W). All shapes are static.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np

IMAGES = ("left", "right")
PRIOR = ("prior", "prior_confidence")
OUTPUTS = ("disparity", "confidence")

MATCHERS = ("sgbm",)
"""What a card, or the metadata ``prior`` of a graph, may name as the source of its prior."""

WORDS = (
    f"inputs {', '.join(IMAGES)} uint8 (1, H, W, 3), both or none of {', '.join(PRIOR)} float32 "
    f"(1, H, W), and outputs {', '.join(OUTPUTS)} float32 (1, H, W), all static"
)

Layout = Mapping[str, tuple[tuple[int, ...], type]]
"""Shape and NumPy type by name of tensor."""


def has_prior(names: Collection[str]) -> bool:
    """Tell whether the inputs ``names`` hold any of the prior's."""
    return bool(set(PRIOR) & set(names))


def images(height: int, width: int) -> Layout:
    """Return the two images of a graph for ``height`` x ``width`` px."""
    return dict.fromkeys(IMAGES, ((1, height, width, 3), np.uint8))


def prior(height: int, width: int) -> Layout:
    """Return the two inputs of the prior."""
    return dict.fromkeys(PRIOR, ((1, height, width), np.float32))


def inputs(height: int, width: int, takes_prior: bool) -> Layout:
    """Return all inputs of a graph, in their order."""
    return {**images(height, width), **(prior(height, width) if takes_prior else {})}


def outputs(height: int, width: int) -> Layout:
    """Return the outputs of a graph, in their order."""
    return dict.fromkeys(OUTPUTS, ((1, height, width), np.float32))
