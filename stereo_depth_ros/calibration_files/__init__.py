"""Read the calibration of a pair from the files that people have."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from stereo_depth_ros.calibration import Calibration, CalibrationError
from stereo_depth_ros.calibration_files import (
    camera_info,
    depthai,
    euroc,
    k_txt,
    kalibr,
    kitti,
    middlebury,
    opencv_storage,
    plain,
    realsense,
    zed,
)
from stereo_depth_ros.calibration_files.document import (
    Document,
    Format,
    Pair,
    read_document,
    report_faults,
)

_LOG = logging.getLogger(__name__)

# The first that matches reads; plain comes last, as its keys may stand in others.
_FORMATS: tuple[Format, ...] = (
    camera_info.FORMAT,
    middlebury.FORMAT,
    kitti.FORMAT,
    k_txt.FORMAT,
    opencv_storage.FORMAT,
    kalibr.FORMAT,
    euroc.FORMAT,
    zed.FORMAT,
    depthai.FORMAT,
    realsense.FORMAT,
    plain.FORMAT,
)

FORMATS = "\n".join(f"  - {known.summary}" for known in _FORMATS)
"""What can be read, a line each, for help."""


def read_calibration(path: str, width: int, height: int) -> Pair:
    """Read the calibration of a pair.

    A calibration of the same view in another size is scaled, with a warning in the log.

    Parameters
    ----------
    path
        One file, or two joined by a comma.
    width, height
        Of the images in px.

    Returns
    -------
    tuple of Calibration
        Left and right, of images of that size. Where P[3] of both is 0, the file states no
        baseline.

    Raises
    ------
    CalibrationError
        When a file is missing, is of no known format, lacks a number, or is of another size.
    """
    names = [path]
    if "," in path and not Path(path).is_file():
        names = path.split(",", 1)
    documents = [read_document(name) for name in names]
    known = _find_format(documents, path)
    if len(names) == 2 and Path(names[0]).resolve() == Path(names[1]).resolve():
        raise CalibrationError(f"{path} names one file twice; give that of the left and the right")
    # What overflows is no calibration, and is refused for what comes of it.
    with report_faults(path, known.name), np.errstate(all="ignore"):
        left, right = known.read(documents, (width, height))
    fitted = _fit(left, width, height), _fit(right, width, height)
    if fitted[0].image_size != left.image_size:
        text = (
            "%s is for %d x %d images: scaled to %d x %d. Were the images cropped, depth is wrong"
        )
        _LOG.warning(text, path, *left.image_size, width, height)
    return fitted


def _find_format(documents: list[Document], path: str) -> Format:
    matching = [f for f in _FORMATS if all(f.matches(document) for document in documents)]
    if not matching:
        for document in documents:
            if document.fault:
                raise CalibrationError(f"{document.path}: {document.fault}; correct the file")
        raise CalibrationError(
            f"{path}: not a known calibration format; known are "
            f"{', '.join(known.name for known in _FORMATS)} (see stereo-depth run --help)"
        )
    known = matching[0]
    if len(documents) not in known.files:
        cure = "give both as LEFT,RIGHT" if len(documents) == 1 else "give one file"
        subject = "one camera" if len(documents) == 1 else "the pair in each file"
        raise CalibrationError(f"{path} is {known.name} of {subject}; {cure}")
    return known


def _fit(calibration: Calibration, width: int, height: int) -> Calibration:
    """Return the calibration for images of ``width`` x ``height`` px."""
    stated = calibration.image_size
    if stated == (width, height) or 0 in stated:
        return calibration
    is_whole = calibration.bins == (1, 1) and calibration.roi == (0, 0, 0, 0)
    # The same view at another size, but for half a pixel of rounding at either side.
    if not is_whole or abs(width * stated[1] / stated[0] - height) > 1.0:
        raise CalibrationError(
            f"{calibration.source} is for {stated[0]} x {stated[1]} images, not {width} x "
            f"{height}; give the calibration of these images"
        )
    return calibration.resize(width, height)
