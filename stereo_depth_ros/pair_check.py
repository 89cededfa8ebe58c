"""What the matches between two views say of the rig: its order, its rows, its exposure."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

SWAPPED = (
    "left and right are swapped, or the images are rotated by 180 degrees or mirrored, as most "
    "matches lie below the disparity of infinity; exchange the two, or turn the images"
)

MAX_ROW_RMS_PX = 1.0
"""Rows that differ by more than this, RMS, are no longer those of a rectified pair; in images wider
than 960 px as much more as they are wider, since features are found no more precisely there."""

MAX_GAIN = 1.3
"""Contrast of one view over that of the other beyond which the exposures count as unequal."""

UNMATCHED = (
    "left and right share no features, although both have many: they are of different places or "
    "moments, one of them is turned, or both show noise or a repeating pattern; give both images "
    "of one rig at one time"
)
BLANK = (
    "the {} image shows next to nothing, while the other shows much: look for a lens cap, a dead "
    "sensor or a wrong exposure"
)

MIN_MATCHES = 20
"""Fewer matches than this say nothing, as in a dark room or before a white wall."""

_MANY, _FEW = 100, 10
"""Features of a view that shows much, and of one that shows nothing."""

_MAX_BELOW = 0.2
"""Share of matches below infinity that no right rig has; 0.05 is the most of real pairs."""

_MIN_SIDE = 32
"""Rows and columns from which features are looked for."""

_MIN_TRUE_SHARE = 0.4
"""Below this share of matches that are confirmed by tracking, the rest is chance as well."""

_WIDTH = 480
"""Columns at which features are matched; finer images cost time and gain nothing here."""


@dataclass(frozen=True)
class PairCheck:
    """What ``matches`` points seen in both views say; lengths in px of the images.

    Attributes
    ----------
    row_rms, row_median
        Row mismatch: its RMS, and the median of y_right - y_left, positive where the right image
        lies lower.
    below
        Share of the matches that lie more than 1 px below the disparity of infinity.
    gain
        Contrast of the right view over that of the left, at the matches.
    refusal
        Cause and cure where nothing may be published from such a pair, else None.
    findings
        Cause and cure of what does not prevent depth but spoils it.
    """

    matches: int
    row_rms: float
    row_median: float
    below: float
    gain: float
    refusal: str | None = None
    findings: tuple[str, ...] = ()


def check_pair(left: np.ndarray, right: np.ndarray, offset: float) -> PairCheck | None:
    """Judge a rectified pair by the features that its views share.

    Parameters
    ----------
    left, right
        The views, (H, W, 3) uint8 RGB.
    offset
        Disparity of a point at infinity in px, as `StereoCamera.offset`.

    Returns
    -------
    PairCheck or None
        None where the views show too little. No ``matches``, and a finding, where they show much
        but fewer than `MIN_MATCHES` features match, or most by chance.
    """
    scale = min(1.0, _WIDTH / left.shape[1])
    small_left, small_right = _shrink(left, scale), _shrink(right, scale)
    if min(small_left.shape) < _MIN_SIDE:
        return None
    start, end = _match_features(small_left, small_right)
    if len(start) < MIN_MATCHES:
        return _describe_unmatched(small_left, small_right)
    gain, level = _exposure(small_left, small_right, start, end)
    # Tracking compares grey levels, so both views need one exposure.
    equal = cv2.addWeighted(small_right, 1 / gain, small_right, 0.0, -level / gain)
    good_start, good_end = _track(small_left, equal, start, end)
    # Of chance matches few lead back, of true ones nearly all.
    if len(good_start) < max(MIN_MATCHES, _MIN_TRUE_SHARE * len(start)):
        return _describe_unmatched(small_left, small_right)
    shift = (good_start - good_end).astype(np.float64) / scale
    return _judge(shift, left.shape[1], offset, gain)


def _describe_unmatched(left: np.ndarray, right: np.ndarray) -> PairCheck | None:
    """Return what two grey views say that do not match."""
    counts = _count_features(left), _count_features(right)
    if min(counts) >= _MANY:
        finding = UNMATCHED
    elif max(counts) >= _MANY and min(counts) < _FEW:
        finding = BLANK.format("left" if counts[0] < counts[1] else "right")
    else:
        return None
    nan = float("nan")
    return PairCheck(0, nan, nan, nan, nan, findings=(finding,))


def _count_features(grey: np.ndarray) -> int:
    # Smoothed, so that noise has none.
    return len(cv2.FastFeatureDetector_create(8).detect(cv2.GaussianBlur(grey, (0, 0), 1.5)))


def _judge(shift: np.ndarray, width: int, offset: float, gain: float) -> PairCheck:
    parallax, rows = shift[:, 0] - offset, -shift[:, 1]
    below = float((parallax < -1.0).mean())
    # Exchanged, turned or mirrored, with its calibration or without, a rig has nothing below again.
    mended = min(float((parallax + moved > 1.0).mean()) for moved in (0.0, 2 * offset))
    low, high = np.percentile(parallax, (5, 95))
    rows_spread = float(np.ptp(np.percentile(rows, (5, 95))))
    centre, row_rms = _row_mismatch(rows)
    # What a calibration that has drifted a little shows of far things proves no swap.
    proof = max(2.0, width / 320)
    refusal, findings = None, []
    if rows_spread > max(4 * proof, 4 * (high - low)):
        findings.append(
            f"near things are displaced along columns, by {rows_spread:.0f} px more than far ones, "
            "and not along rows: one camera stands above the other, which is not supported; turn "
            "both images by 90 degrees and calibrate them so"
        )
    elif below > _MAX_BELOW and mended < 0.1:
        if low < -proof and high - low > proof:
            refusal = SWAPPED
        else:
            distance = -np.median(parallax[parallax < -1.0])
            findings.append(
                f"far things lie {distance:.1f} px below the disparity of infinity "
                f"({offset:g} px): the principal points or the directions of the cameras are off; "
                "recalibrate the pair"
            )
    elif row_rms > MAX_ROW_RMS_PX * max(1.0, width / 960) and not _is_repeating(rows):
        findings.append(
            f"rows of the two views differ by {row_rms:.1f} px RMS: the rectification is off; "
            "recalibrate the pair"
        )
    if not 1 / MAX_GAIN <= gain <= MAX_GAIN:
        findings.append(
            f"the right view has {gain:.2f} times the contrast of the left: the exposures differ; "
            "give both cameras the same exposure and gain"
        )
    return PairCheck(len(shift), row_rms, centre, below, gain, refusal, tuple(findings))


def _is_repeating(rows: np.ndarray) -> bool:
    """Whether many rows agree while others are far off, as matches of equal windows or shelves."""
    quartiles = np.percentile(rows, (25, 75))
    return bool((np.abs(rows) < 1.0).mean() > 0.3 and np.ptp(quartiles) > 4.0)


def _row_mismatch(rows: np.ndarray) -> tuple[float, float]:
    """Return median and RMS of the row differences without the wrong matches."""
    centre = float(np.median(rows))
    distance = np.abs(rows - centre)
    # A few wrong matches would dominate a mean square; where rows are skewed, all lie far off.
    right = distance <= min(0.5 + 4 * np.quantile(distance, 0.75), np.quantile(distance, 0.9))
    return centre, float(np.sqrt(np.mean(rows[right] ** 2)))


def _shrink(image: np.ndarray, scale: float) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    if scale == 1.0:
        return grey
    return cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)


def _match_features(left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where features lie in both views, (N, 2) float32 px each, wherever that is."""
    detector = cv2.ORB_create(500, fastThreshold=8)
    points_left, features_left = detector.detectAndCompute(left, None)
    points_right, features_right = detector.detectAndCompute(right, None)
    none = np.empty((0, 2), np.float32)
    if features_left is None or features_right is None:
        return none, none
    matcher = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True)
    matches = [m for m in matcher.match(features_left, features_right) if m.distance < 64]
    if not matches:
        return none, none
    return (
        np.array([points_left[m.queryIdx].pt for m in matches], np.float32),
        np.array([points_right[m.trainIdx].pt for m in matches], np.float32),
    )


def _exposure(
    left: np.ndarray, right: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[float, float]:
    """Return gain and offset, in grey levels, that turn the left view's grey into the right's."""
    mean_left, contrast_left = _statistics(left, start)
    mean_right, contrast_right = _statistics(right, end)
    gain = float(np.median(contrast_right / contrast_left))
    return gain, float(np.median(mean_right - gain * mean_left))


def _statistics(grey: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of grey around every point."""
    values = grey.astype(np.float32)
    mean = cv2.blur(values, (15, 15))
    deviation = np.sqrt(np.maximum(cv2.blur(values * values, (15, 15)) - mean * mean, 1.0))
    columns, rows = np.rint(points).astype(int).T
    return mean[rows, columns], deviation[rows, columns]


def _track(
    left: np.ndarray, right: np.ndarray, start: np.ndarray, end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Refine matches to a fraction of a px, and drop those that do not lead back."""
    lk = {"winSize": (15, 15), "maxLevel": 1, "flags": cv2.OPTFLOW_USE_INITIAL_FLOW}
    there, ok, _ = cv2.calcOpticalFlowPyrLK(left, right, start, end.copy(), **lk)
    back, ok_back, _ = cv2.calcOpticalFlowPyrLK(right, left, there, start + (there - end), **lk)
    good = (ok & ok_back).ravel().astype(bool) & (np.abs(back - start).max(axis=1) < 0.5)
    return start[good], there[good]
