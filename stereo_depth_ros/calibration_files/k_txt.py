"""``K.txt``: the nine numbers of K, then the baseline in metres."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    Size,
    make_pinhole_pair,
    parse_matrix,
    parse_number,
    parse_numbers,
)

_LOG = logging.getLogger(__name__)


def _matches(document: Document) -> bool:
    entries = document.text.split()
    try:
        values = parse_numbers(entries, None, "K")
    except ValueError:
        return False
    return len(values) in (9, 10) and values[6:9] == [0, 0, 1]


def _read(documents: Sequence[Document], size: Size) -> Pair:
    (document,) = documents
    entries = document.text.split()
    k = parse_matrix(entries[:9], 3, 3, "K")
    _LOG.warning("%s gives no cx of the right view: taken as that of the left", document.path)
    baseline = parse_number(entries[9], "the baseline") if len(entries) > 9 else 0.0
    return make_pinhole_pair(document.path, size, k, k, baseline)


FORMAT = Format(
    name="K.txt",
    summary="K.txt: the nine numbers of K, then the baseline in m",
    files=(1,),
    matches=_matches,
    read=_read,
)
