"""The text of parameter roi: a bounded list of corners, and nothing else that YAML can say."""

from __future__ import annotations

import re
from functools import lru_cache

from stereo_depth_ros.excerpt import excerpt

MAX_CORNERS = 100

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d+)?"
_CORNER = rf"\[\s*{_NUMBER}\s*,\s*{_NUMBER}\s*\]"
_CORNERS = re.compile(rf"\s*(?:\[\s*(?:{_CORNER}\s*(?:,\s*{_CORNER}\s*)*)?\]\s*)?")


@lru_cache(maxsize=1)
def parse_roi(text: str) -> tuple[float, ...]:
    """Return the numbers x0 y0 x1 y1 … of ``text``, '[[x, y], [x, y], [x, y]]'; none of ''.

    Raises
    ------
    ValueError
        Where ``text`` is something else, or has more than `MAX_CORNERS` corners.
    """
    if not _CORNERS.fullmatch(text):
        raise ValueError(
            f"roi is '{excerpt(text, 100)}'; write the corners as '[[x, y], [x, y], [x, y]]' in px"
        )
    numbers = re.findall(_NUMBER, text)
    if len(numbers) > 2 * MAX_CORNERS:
        raise ValueError(f"roi has {len(numbers) // 2} corners; at most {MAX_CORNERS} are allowed")
    return tuple(map(float, numbers))
