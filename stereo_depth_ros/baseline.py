"""The distance between the two cameras: from P, from the user, or from TF."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stereo_depth_ros.calibration import Calibration, CalibrationError

MAX_BASELINE_M = 5.0
"""Baselines above this are taken for another unit than metres."""

MIN_BASELINE_M = 0.001
"""Baselines below this are taken for a P[3] that lacks the focal length."""


def resolve_baseline(
    left: Calibration,
    right: Calibration,
    given: float = 0.0,
    tf_baseline: Callable[[], float | None] | None = None,
    option: str = "parameter 'baseline'",
) -> tuple[float, list[str]]:
    """Return the baseline in metres, and findings that do not prevent depth.

    ``given`` is what the user set by ``option``, in metres, 0 where nothing; it counts where P[3]
    gives none that can be metres. ``tf_baseline`` is asked last (metres, None = unknown).

    Raises
    ------
    CalibrationError
        Swapped cameras, and a baseline that is unknown, the same in both, or outside
        `MIN_BASELINE_M` to `MAX_BASELINE_M`.
    """
    tx_left, tx_right = left.p[0, 3] / left.p[0, 0], right.p[0, 3] / right.p[0, 0]
    if tx_left < 0 and tx_right == 0:
        raise CalibrationError(
            f"{left.source} has P[3] = {left.p[0, 3]:g} and {right.source} P[3] = 0: left and "
            "right are swapped; exchange the two topics or files"
        )
    signed = tx_left - tx_right
    origin = f"P[3] = {right.p[0, 3]:g} of {right.source}"
    warnings = []
    if given and signed:
        if not _is_in_metres(signed):
            warnings.append(f"{origin} gives {abs(signed):g} m: {option} = {given:g} m counts")
            signed, origin = given, option
        elif abs(abs(signed) - given) > 0.01 * abs(signed):
            warnings.append(f"{option} = {given:g} m is ignored: {origin} gives {abs(signed):g} m")
    elif given:
        signed, origin = given, option
    elif signed == 0 and tx_left != 0:
        raise CalibrationError(
            f"baseline is 0: P[3] is {left.p[0, 3]:g} in both {left.source} and {right.source}, "
            "one camera_info used twice; give each camera its own, the left with P[3] = 0, or set "
            f"{option} to the distance between the cameras in metres"
        )
    elif signed == 0 and tf_baseline is not None:
        signed, origin = tf_baseline() or 0.0, "TF between the two camera frames"
    if not np.isfinite(signed) or signed == 0:
        sources = f"P[3] of {right.source} is {right.p[0, 3]:g}"
        if tf_baseline is not None:
            sources += f", {option} is {given:g} and TF gives none"
        raise CalibrationError(
            f"baseline is {signed:g}: {sources}; set {option} to the distance between the cameras "
            "in metres"
        )
    if not _is_in_metres(signed):
        raise CalibrationError(
            f"baseline is {abs(signed):g} m from {origin}, not between {MIN_BASELINE_M:g} and "
            f"{MAX_BASELINE_M:g} m: the value is probably in millimetres or centimetres, or P[3] "
            f"is not -fx * baseline; correct it there, or set {option}"
        )
    if signed < 0:
        warnings.append(
            f"baseline is {signed:g} m from {origin}: the sign is wrong (P[3] of the right camera "
            f"is -fx * baseline); using {-signed:g} m. If depth looks wrong, left and right are "
            "swapped"
        )
    return float(abs(signed)), warnings


def _is_in_metres(baseline: float) -> bool:
    return MIN_BASELINE_M <= abs(baseline) <= MAX_BASELINE_M
