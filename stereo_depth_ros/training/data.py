"""What a training learns from, as it is named on the command line."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from stereo_depth_ros.errors import InputError
from stereo_depth_ros.evaluation.datasets import LAYOUTS

SCENES = "scenes"


@dataclass(frozen=True)
class DataPart:
    """Rendered scenes, or the pairs of a ``layout`` in ``folder``, and their weight."""

    layout: str
    folder: Path | None
    weight: float

    def __str__(self) -> str:
        """As it is written, with the name of its folder alone."""
        text = SCENES if self.folder is None else f"{self.layout}={self.folder.name}"
        return text if self.weight == 1 else f"{text}:{self.weight:g}"


def parse_data(text: str) -> DataPart:
    """Read ``scenes``, ``scenes:3``, ``plain=DIR`` or ``kitti=DIR:2``.

    Raises
    ------
    InputError
        For anything else; the text says what there is.
    """
    match = re.fullmatch(r"(?:scenes|(\w+)=(.+?))(?::(\d+(?:\.\d+)?))?", text)
    if match is None or (match[1] is not None and match[1] not in LAYOUTS):
        raise InputError(
            f"data is '{text}'; give scenes or LAYOUT=DIR, with :WEIGHT if need be; layouts are "
            f"{', '.join(LAYOUTS)}"
        )
    weight = float(match[3] or 1)
    if not 0 < weight < math.inf:
        raise InputError(f"data is '{text}'; its weight must be above 0")
    return DataPart(match[1] or SCENES, Path(match[2]) if match[2] else None, weight)
